"""Emoji as words of a BERT, whose vocabulary has next to none of them.

Else all were one unknown token, praise or rage, together with the word before them where no space
stands between: "refund me NOW😡" was "refund me [UNK]". Here each becomes a token of its own, whose
embedding begins as the mean of a few plain words' (emoji from what describes them: Eisner et al.
2016, "emoji2vec").
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.normalizers import Normalizer, Replace, Sequence

if TYPE_CHECKING:
    from torch import Tensor

MEANT = {
    "furious": "😡😤👿💢",
    "furious swearing": "🤬",
    "angry": "😠",
    "fuck": "🖕",
    "annoyed": "🙄😒😑",
    "disappointed": "😞",
    "sad": "😔🙁☹😥😢",
    "worried": "😟😰🫤",
    "upset": "😖😣",
    "exhausted": "😫😩",
    "crying": "😭😿",
    "please": "🥺",
    "afraid": "😨",
    "shocked": "😱🤯😧😦😮😲🙀",
    "embarrassed": "😳🫣",
    "stressed": "😓",
    "frustrated": "🤦",
    "no idea": "🤷",
    "dizzy": "😵🥴",
    "disgusting": "🤢🤮",
    "sick": "🤒🤧😷",
    "joke": "🤡",
    "shit": "💩",
    "bad": "👎",
    "broken heart": "💔",
    "confused": "😕",
    "doubtful": "🤨🧐",
    "thinking": "🤔💭",
    "awkward": "😬",
    "irony": "🙃",
    "oops": "😅🙈🫠",
    "laughing": "😂🤣😆😹",
    "happy": "😀😃😄😁😊☺😸😺",
    "smile": "🙂",
    "grateful": "🥲🥹",
    "innocent": "😇",
    "love": "😍🥰🤩❤💕💖💗💓💞💘💝💙💚💛🧡💜🤎🖤🤍🩷🩵❣🫶😻",
    "kiss": "😘😗😚😙💋😽",
    "delicious": "😋🤤",
    "wink": "😉😏",
    "playful": "😜😝😛🤪",
    "cool": "😎🤙",
    "hug": "🤗🫂",
    "celebrate": "🥳🎉🎊🍾🥂",
    "good": "👍",
    "applause": "👏",
    "hooray": "🙌",
    "thanks please": "🙏",
    "strong": "💪",
    "perfect": "👌💯",
    "great": "🔥",
    "beautiful": "✨💐🌹🌸🌷🌺🌻",
    "star": "⭐🌟",
    "done": "✅☑✔",
    "wrong": "❌✖",
    "forbidden": "🚫⛔",
    "!": "❗❕‼",
    "?": "❓❔⁉",
    "warning": "⚠",
    "alarm": "🚨",
    "help": "🆘",
    "hello": "👋",
    "hope": "🤞",
    "agreed": "🤝",
    "looking": "👀",
    "dead": "💀☠",
    "asleep": "😴",
    "bored": "🥱",
    "tired": "😪",
    "silent": "🤐🤫",
    "parcel": "📦",
    "delivery": "🚚🚛",
    "card": "💳",
    "money": "💰💵💶💷🤑",
    "money gone": "💸",
    "gift": "🎁",
    "email": "📧📩✉",
    "phone": "📞☎📱",
    "time": "⏰🕐⏱",
    "waiting": "⏳⌛",
    "date": "📅📆",
    # Two of these letters make a flag.
    "country": "".join(map(chr, range(0x1F1E6, 0x1F200))),
}
"""Words, and the emoji that customers write for them. Most of Unicode's names say what a picture
shows and not what it is for: 😤 is its "face with look of triumph"."""

BLOCKS = (
    range(0x2194, 0x219A),
    range(0x21A9, 0x21AB),
    range(0x231A, 0x231C),
    range(0x23E9, 0x23FB),
    range(0x25B6, 0x25B7),
    range(0x25C0, 0x25C1),
    range(0x2600, 0x27C0),
    range(0x2B05, 0x2B08),
    range(0x2B1B, 0x2B1D),
    range(0x2B50, 0x2B51),
    range(0x2B55, 0x2B56),
    range(0x1F170, 0x1F252),
    range(0x1F300, 0x1F650),
    range(0x1F680, 0x1F700),
    range(0x1F7E0, 0x1F7EC),
    range(0x1F90C, 0x1FA00),
    range(0x1FA70, 0x1FB00),
)
"""Of Unicode, where the other emoji stand, alone or among other pictures. Not its lines and shapes,
which stand in long rows."""
FILLING = frozenset({"black", "button", "face", "heavy", "mark", "sign", "symbol", "white", "with"})
"""Words of Unicode's names that tell no emoji from another."""
SEXES = "♀♂"
VARIANTS = f"\u200d?[{SEXES}\U0001f3fb-\U0001f3ff]|[\ufe0f\u20e3]"
"""What stands behind an emoji and says nothing of an intent: sexes, colours of skin, and how it is
drawn."""


@cache
def emoji_words() -> Mapping[str, str]:
    """Each emoji, one character, and the words that it begins as; in a fixed order."""
    named = {
        character: _plain(unicodedata.name(character))
        for block in BLOCKS
        for character in map(chr, block)
        if unicodedata.category(character) == "So" and character not in SEXES
    }
    meant = {character: words for words, emoji in MEANT.items() for character in emoji}
    return dict(sorted((named | meant).items()))


def add_emoji(tokenizer: Tokenizer) -> None:
    """Make each emoji that the tokenizer does not know a token of its own.

    None where it knows every character, or has gaps in its ids.
    """
    unknown = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    if unknown is None:
        return
    taken = tokenizer.get_vocab().values()
    if max(taken) >= len(taken):
        # A vocab.txt with a line twice leaves a gap, and new tokens would get ids that are taken.
        return
    emoji = list(emoji_words())
    found = tokenizer.encode_batch_fast(emoji, add_special_tokens=False)
    new = [one for one, its in zip(emoji, found, strict=True) if its.ids == [unknown]]
    # Not normalised, since normalisers may take an emoji for an accent, or apart.
    tokenizer.add_tokens([AddedToken(one, normalized=False) for one in new])
    others: list[Normalizer] = [tokenizer.normalizer] if tokenizer.normalizer else []
    tokenizer.normalizer = Sequence([Replace(Regex(VARIANTS), ""), *others])


def with_emoji(embeddings: Tensor, own: Tokenizer, tokenizer: Tokenizer) -> Tensor:
    """The embeddings (words, hidden) of a base's `own` tokenizer, and of the emoji that `tokenizer`
    was given besides, each the mean of its words' and as long as most words' are."""
    meant = emoji_words()
    new = {
        place: tokenizer.encode(meant[token.content], add_special_tokens=False).ids
        for place, token in tokenizer.get_added_tokens_decoder().items()
        if token.content in meant and own.token_to_id(token.content) is None
    }
    size = max(len(embeddings), tokenizer.get_vocab_size())
    grown = embeddings.new_zeros(size, embeddings.shape[1])
    grown[: len(embeddings)] = embeddings
    usual = embeddings.norm(dim=1).median()
    for place, words in new.items():
        mean = embeddings[words].mean(dim=0)
        grown[place] = mean * (usual / mean.norm().clamp(min=1e-12))
    return grown


def _plain(name: str) -> str:
    words = name.lower().replace("-", " ").split()
    return " ".join([word for word in words if word not in FILLING] or words)
