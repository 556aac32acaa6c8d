"""Personal data out of texts before they train a model.

Masked: e-mail and web addresses, phone numbers (libphonenumber), payment cards (Luhn), bank
accounts (IBAN, ISO 7064 mod 97-10; in the United Kingdom a sort code with an account), and the
numbers of the United States' social security and the United Kingdom's national insurance. Order
numbers stay: they carry meaning and identify nobody; but for one in ten of 13 to 19 digits, which
could be a card's, and those that read as a phone number and have no word such as "order" before
them. Names are not found, for no offline library does so reliably, but for those that are told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from operator import itemgetter

import phonenumbers

from desk.name_words import NAME_WORDS

# Each pattern begins where nothing of its own kind stands before it, so that a text is read once:
# customers write what they like, and as long as they like.
_AT = "[@﹫＠]"
_EMAIL = re.compile(
    rf"(?<![\w.+-])(?<![\w.+-]['’])[\w.+-]+(?:['’][\w.+-]+)*{_AT}[\w-]+(?:\.[\w-]+)+"
)
_URL = re.compile(r"(?<![a-z0-9])(?:[a-z][a-z0-9.+-]{1,20}://|www\.)\S+", re.IGNORECASE)
# Without a scheme only what leads further than to a site: `example.com/x`, but not "thanks.now".
_PLACE = re.compile(
    r"(?<!\w)(?![\d-]{1,63}\.)(?:[\w-]{1,63}\.){1,10}[^\W\d_]{2,24}(?::\d{1,5})?(?:/|\?\w{1,64}=)\S+"
)
_HANDLE = re.compile(rf"(?<![a-z0-9_]){_AT}\w{{4,32}}\b", re.IGNORECASE)
# What people put between the groups of a number, such as ` - `: three signs at most.
_SPACES, _DASHES = " \t\u00a0\u2000-\u200a\u202f\u3000", "\u2010-\u2014\u2212\uff0d-"
_BETWEEN = f"[{_SPACES}.{_DASHES}]{{0,3}}"
# What nobody sees between the signs of a number.
_UNSEEN = "[\u00ad\u200b\u2060\ufeff]+"
_SEPARATOR = f"[{_SPACES}.{_DASHES}]"
_HIDING = re.compile(rf"(?<=\d){_UNSEEN}(?=\d|{_SEPARATOR})|(?<={_SEPARATOR}){_UNSEEN}(?=\d)")
# Both find more than a number (the words or dates around it); `_mask_runs` looks inside.
_IBAN = re.compile(
    rf"(?:\b|(?<=iban))[A-Z]{{2}}\d{{2}}(?:{_BETWEEN}[A-Z0-9]){{11,}}\b", re.IGNORECASE | re.ASCII
)
# Not what a dash ties to a word or a number before it: `JO-2026-…` is an order.
_DIGITS = re.compile(rf"(?<!\d)(?<!\w-)\d(?:{_BETWEEN}\d){{12,}}")
# https://www.ssa.gov/employer/randomization.html: which are given to nobody.
_SSN = re.compile(
    rf"(?<![\w{_DASHES}])(?!000|666|9)\d{{3}}[{_DASHES}](?!00)\d\d[{_DASHES}](?!0000)\d{{4}}"
    rf"(?![\w{_DASHES}])"
)
# HMRC's manual NIM39110. In small letters without spaces only: "at 10 20 30 a piece" is none.
_NI = re.compile(
    r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r" ?\d\d ?\d\d ?\d\d ?[A-D]\b"
    r"|\b(?!bg|gb|nk|kn|tn|nt|zz)[a-ceghj-pr-tw-z][a-ceghj-npr-tw-z]\d{6}[a-d]\b",
    re.ASCII,
)
# A sort code alone may be a date, and names a branch; with an account behind it, somebody.
_ACCOUNT = re.compile(
    rf"(?<![\w{_DASHES}])\d\d[{_DASHES}]\d\d[{_DASHES}]\d\d[\s,;:/&]{{1,3}}"
    r"(?:and\s{1,3})?(?:(?:my\s{1,3})?(?:bank\s{1,3})?(?:account|acct|acc|a/c)"
    r"(?:\s{1,3}(?:number|num|no))?(?:\s{1,3}is)?[\s.:#-]{1,3})?\d{8}(?!\w)",
    re.IGNORECASE,
)
# What stands before a number that is no phone's; and before one that is, as in "my phone no.".
_REFERENCE = re.compile(
    r"(?:\b(?:orders?|invoices?|ref|references?|bookings?|policy|policies|claims?)"
    r"(?:\s{1,3}(?:number|num|no|nr|id|code)\b)?"
    r"|(?<!my )(?<!phone )(?<!mobile )(?<!cell )(?<!tel )(?<!contact )\b(?:no|nr)\b|#)"
    r"(?:\s{1,3}(?:is|was))?[\s.:=#-]{0,3}$",
    re.IGNORECASE,
)
_BARE = re.compile(r"\d{10}")
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U00020000-\U0003ffff"
)
"""Of which scripts the letters form words that nothing parts, or to which other words are tied:
Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean (for a class of a pattern)."""
_LETTER = rf"[^\W\d_{UNSPACED}]"
_MASKED = r"\[(?:account|card|email|id|link|name|phone)\]"


def mask(text: str, regions: Sequence[str], names: Collection[str] = ()) -> str:
    """The text with each personal detail replaced by a word such as `[email]`.

    `regions` (ISO 3166, such as GB) are those whose phone numbers are found without a country code
    too; with one they are found anyway. `names` are single words (`desk.own_names`), which are
    found as whole words, without accents, too, and in small letters; but not where such a one of
    `NAME_WORDS` stands alone. What is masked is not changed by masking it again, with the names or
    without.
    """
    # What was tied to something that is masked may read as a number only then.
    while (masked := _mask_names(_mask_details(text, regions), names)) != text:
        text = masked
    return text


def _mask_names(text: str, names: Collection[str]) -> str:
    folded = text.casefold()
    here = {
        spelled for name in names for spelled in _spellings(name) if spelled.casefold() in folded
    }
    if not here:
        return text  # as nearly always; a pattern takes longer to make than to look for
    words = "|".join(
        re.escape(word)
        if re.match(f"[{UNSPACED}]", word)
        else f"(?<!{_LETTER}){re.escape(word)}(?!{_LETTER})"
        for word in sorted(here, key=lambda word: (-len(word), word))
    )
    word = re.compile(words, re.IGNORECASE)
    # One may be called Link.
    runs = re.compile(rf"{_MASKED}|(?P<names>(?:{words})(?:\s+(?:{words}))*)", re.IGNORECASE)

    def masked(match: re.Match[str]) -> str:
        named = match["names"]
        # Alone and in small letters it is likelier the word; "bill green" is a name.
        return match[0] if named is None or named in NAME_WORDS else word.sub("[name]", named)

    return runs.sub(masked, text)


def _spellings(name: str) -> set[str]:
    spelled = {name, unicodedata.normalize("NFKC", name)}
    if not re.match(f"[{UNSPACED}]", name):  # in Japanese a mark makes another word
        spelled |= {unicodedata.normalize("NFKD", name), unaccented(name)}
    return spelled


def unaccented(text: str) -> str:
    """The text in plain letters, without the marks on them."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _mask_details(text: str, regions: Sequence[str]) -> str:
    text = _HIDING.sub("", text)
    text = _EMAIL.sub("[email]", text)
    text = _URL.sub("[link]", text)
    text = _PLACE.sub("[link]", text)
    text = _HANDLE.sub("[name]", text)
    text = _mask_runs(text, _IBAN, is_iban, range(15, 35), "[account]")
    text = _ACCOUNT.sub("[account]", text)
    text = _SSN.sub("[id]", text)
    text = _NI.sub("[id]", text)
    text = _mask_runs(text, _DIGITS, is_card, range(13, 20), "[card]")
    for region in regions or (None,):
        found = list(phonenumbers.PhoneNumberMatcher(text, region))
        for number in reversed(found):
            if _is_reference(text, number.start, number.end):
                continue
            text = f"{text[: number.start]}[phone]{text[number.end :]}"
    return text


def _is_reference(text: str, start: int, end: int) -> bool:
    """Whether what reads as a phone number is ten digits in a row behind a word such as "order":
    more than a third of all such numbers would be a phone's in the United States."""
    before = text[max(0, start - 40) : start]
    return bool(_BARE.fullmatch(text, start, end) and _REFERENCE.search(before))


def is_region(name: str) -> bool:
    """Whether a country's phone numbers are known under that name."""
    return name in phonenumbers.SUPPORTED_REGIONS


def _mask_runs(
    text: str, pattern: re.Pattern[str], is_number: Callable[[str], bool], lengths: range, word: str
) -> str:
    """Mask each group in a match that belongs to such a number: to any run of whole groups, of such
    a length without what parts them, that is one."""

    def masked(match: re.Match[str]) -> str:
        # Groups at even places, what parts them between.
        parts = re.split(f"([{_SPACES}.{_DASHES}]+)", match[0])
        kinds = [_kind(part) for part in parts]
        belongs = [False] * len(parts)
        for start in range(0, len(parts), 2):
            run, between = "", set[str]()
            for place in range(start, len(parts), 2):
                run += parts[place]
                # A row of prices and dates is parted by all kinds of things.
                if len(run) >= lengths.stop or not (len(between) < 2 or between == {" ", "-"}):
                    break
                # Whatever began before: an order number and half a card may look like a card, too.
                # A row of short numbers with dashes between is one of prices or sizes.
                short = min(map(len, parts[start : place + 1 : 2])) < 4
                if len(run) in lengths and is_number(run) and not (short and " - " in between):
                    belongs[start : place + 1] = [True] * (place + 1 - start)
                between.update(kinds[place + 1 : place + 2])
        runs = groupby(zip(parts, belongs, strict=True), itemgetter(1))
        return "".join(
            word if masks else "".join(part for part, _ in together) for masks, together in runs
        )

    return pattern.sub(masked, text)


def _kind(between: str) -> str:
    """Spaces are alike here, however many, and dashes are."""
    return re.sub(f"[{_SPACES}]+", " ", re.sub(f"[{_DASHES}]", "-", between))


def is_card(text: str) -> bool:
    """Whether the digits of a text are a payment card's number (Luhn, ISO/IEC 7812-1)."""
    digits = [int(character) for character in text if character.isdecimal()][::-1]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is a bank account's number with right check digits (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact, re.ASCII):
        return False
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1
