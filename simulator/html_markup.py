"""Telegram's HTML: tags in, plain text and entities out, with Telegram's own error texts.

The parser walks over UTF-8 bytes because Telegram's errors name byte offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import ApiError, bad_request
from simulator.links import checked_link, mentioned_user
from simulator.model import Json

_SIMPLE = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
}
_SPECIAL = {"a", "blockquote", "tg-emoji"}
_TAGS = {*_SIMPLE, *_SPECIAL, "pre", "code"}
_NAMED = {"lt": 0x3C, "gt": 0x3E, "amp": 0x26, "quot": 0x22}
_SPACE = frozenset(b" \t\r\n\0\v")
_LT, _GT, _SLASH, _AMP, _EQUAL = b"<>/&="


@dataclass
class _Open:
    tag: str
    argument: str
    offset: int
    start: int


def _fail(reason: str) -> ApiError:
    return bad_request(f"can't parse entities: {reason}")


class _Parser:
    def __init__(self, text: str) -> None:
        # A NUL ends the input, as in C: every scan stops there without a bounds check.
        self.data = text.replace("\0", " ").encode() + b"\0"
        self.pos = 0
        self.out: list[str] = []
        self.units = 0
        self.chars = 0
        self.stack: list[_Open] = []
        self.entities: list[Json] = []

    def run(self) -> tuple[str, list[Json]]:
        end = len(self.data) - 1
        while self.pos < end:
            byte = self.data[self.pos]
            if byte == _LT:
                if self.data[self.pos + 1] == _SLASH:
                    self._end_tag()
                else:
                    self._start_tag()
            elif byte == _AMP and (char := self._reference()) is not None:
                self._emit(char)
            else:
                following = self.pos + 1
                while following < end and self.data[following] not in (_LT, _AMP):
                    following += 1
                self._emit(self.data[self.pos : following].decode())
                self.pos = following
        if self.stack:
            tag = self.stack[-1].tag
            raise _fail(f'Can\'t find end tag corresponding to start tag "{tag}"')
        text = "".join(self.out)
        if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
            raise _fail(
                "Text contains invalid Unicode characters after decoding HTML entities, "
                "check for unmatched surrogate code units"
            )
        return text, self.entities

    def _emit(self, text: str) -> None:
        self.out.append(text)
        self.chars += len(text)
        self.units += len(text) + sum(ord(char) > 0xFFFF for char in text)

    def _reference(self) -> str | None:
        """Decode `&...;` at the position and move past it; None leaves it to be plain text."""
        data, end = self.data, self.pos + 1
        if data[end] == ord("#"):
            end += 1
            base, digits = (16, b"0123456789abcdefABCDEF") if data[end] == ord("x") else (10, b"")
            digits = digits or b"0123456789"
            end += base == 16
            start = end
            while data[end] in digits:
                end += 1
            if start == end or end - self.pos >= 12:
                return None
            code = int(data[start:end], base)
            if code == 0 or code >= 0x10FFFF:
                return None
        else:
            start = end
            while chr(data[end]).isascii() and chr(data[end]).isalpha():
                end += 1
            code = _NAMED.get(data[start:end].decode(), 0)
            if not code:
                return None
        self.pos = end + (data[end] == ord(";"))
        return chr(code)

    def _skip_space(self) -> None:
        while self.data[self.pos] and self.data[self.pos] in _SPACE:
            self.pos += 1

    def _start_tag(self) -> None:
        data, begin = self.data, self.pos
        self.pos += 1
        while data[self.pos] not in _SPACE and data[self.pos] != _GT:
            self.pos += 1
        if not data[self.pos]:
            raise _fail(f"Unclosed start tag at byte offset {begin}")
        tag = data[begin + 1 : self.pos].decode(errors="replace").lower()
        if tag not in _TAGS:
            raise _fail(f'Unsupported start tag "{tag}" at byte offset {begin}')
        argument = ""
        while True:
            self._skip_space()
            if data[self.pos] == _GT:
                break
            name, value = self._attribute(tag, begin)
            argument = _argument(tag, name, value) or argument
        self.pos += 1
        if tag == "span" and argument != "spoiler":
            raise _fail(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        self.stack.append(_Open(tag, argument, self.units, self.chars))

    def _attribute(self, tag: str, begin: int) -> tuple[str, str]:
        data, start = self.data, self.pos
        while data[self.pos] not in _SPACE and data[self.pos] not in (_EQUAL, _GT):
            self.pos += 1
        name = data[start : self.pos].decode(errors="replace").lower()
        if not name:
            if not data[self.pos]:
                raise _fail(f"Unclosed start tag at byte offset {begin}")
            raise _fail(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
        self._skip_space()
        if data[self.pos] != _EQUAL:
            if not data[self.pos]:
                raise _fail(f'Unclosed start tag "{tag}" at byte offset {begin}')
            return name, ""
        self.pos += 1
        self._skip_space()
        if not data[self.pos]:
            raise _fail(f'Unclosed start tag "{tag}" at byte offset {begin}')
        value = self._quoted() if data[self.pos] in b"'\"" else self._bare()
        if not data[self.pos]:
            raise _fail(f"Unclosed start tag at byte offset {begin}")
        return name, value

    def _bare(self) -> str:
        data, start = self.data, self.pos
        while (char := chr(data[self.pos])).isascii() and (char.isalnum() or char in ".-"):
            self.pos += 1
        if data[self.pos] not in _SPACE and data[self.pos] != _GT:
            raise _fail(f"Unexpected end of name token at byte offset {start}")
        return data[start : self.pos].decode().lower()

    def _quoted(self) -> str:
        quote = self.data[self.pos]
        self.pos += 1
        value = bytearray()
        while self.data[self.pos] and self.data[self.pos] != quote:
            if self.data[self.pos] == _AMP and (char := self._reference()) is not None:
                value += char.encode(errors="replace")
                continue
            value.append(self.data[self.pos])
            self.pos += 1
        if self.data[self.pos]:
            self.pos += 1
        return value.decode(errors="replace")

    def _end_tag(self) -> None:
        data, begin = self.data, self.pos
        if not self.stack:
            raise _fail(f"Unexpected end tag at byte offset {begin}")
        self.pos += 2
        while data[self.pos] not in _SPACE and data[self.pos] != _GT:
            self.pos += 1
        tag = data[begin + 2 : self.pos].decode(errors="replace").lower()
        self._skip_space()
        if data[self.pos] != _GT:
            raise _fail(f"Unclosed end tag at byte offset {begin}")
        self.pos += 1
        opened = self.stack.pop()
        if tag and tag != opened.tag:
            raise _fail(
                f"Unmatched end tag at byte offset {begin}, "
                f'expected "</{opened.tag}>", found "</{tag}>"'
            )
        if self.units > opened.offset:
            self._close(opened)

    def _close(self, opened: _Open) -> None:
        """Add the entity of a tag that was closed, if it makes one."""
        entity: Json = {
            "type": _SIMPLE.get(opened.tag, opened.tag),
            "offset": opened.offset,
            "length": self.units - opened.offset,
        }
        if opened.tag in ("pre", "code"):
            self._close_code(opened, entity)
        elif opened.tag in _SPECIAL:
            self.entities += self._special(opened, entity)
        else:
            self.entities.append(entity)

    def _close_code(self, opened: _Open, entity: Json) -> None:
        """`pre` and `code` around the same text are one `pre`, with the code's language."""
        last = self.entities[-1] if self.entities else {}
        around = (last.get("offset"), last.get("length")) == (entity["offset"], entity["length"])
        if opened.tag == "pre" and around and last["type"] == "code" and "language" in last:
            last["type"] = "pre"
        elif opened.tag == "code" and around and last["type"] == "pre" and opened.argument:
            last["language"] = opened.argument
        else:
            language = {"language": opened.argument} if opened.argument else {}
            self.entities.append(entity | language)

    def _special(self, opened: _Open, entity: Json) -> list[Json]:
        """The entity of a tag with an argument; none for a link that Telegram would not make."""
        if opened.tag == "blockquote":
            return [entity | ({"type": "expandable_blockquote"} if opened.argument else {})]
        if opened.tag == "tg-emoji":
            if not opened.argument.isdecimal() or not 0 < int(opened.argument) < 2**63:
                raise _fail("Invalid custom emoji identifier specified")
            return [entity | {"type": "custom_emoji", "custom_emoji_id": opened.argument}]
        url = opened.argument or "".join(self.out)[opened.start :]
        if (user_id := mentioned_user(url)) is not None:
            return [entity | {"type": "text_mention", "user": {"id": user_id}}]
        link = checked_link(url)
        return [entity | {"type": "text_link", "url": link}] if link else []


def _argument(tag: str, name: str, value: str) -> str:
    if (tag, name) in (("a", "href"), ("tg-emoji", "emoji-id")):
        return value
    if (tag, name) == ("code", "class") and value.startswith("language-"):
        return value[9:]
    if (tag, name) == ("span", "class") and value.startswith("tg-"):
        return value[3:]
    return "1" if (tag, name) == ("blockquote", "expandable") else ""


def parse_html(text: str) -> tuple[str, list[Json]]:
    """Parse Telegram HTML into text and entities (UTF-16 offsets); raises 400 ApiError."""
    plain, entities = _Parser(text).run()
    for entity in entities:
        if entity["type"] == "code":
            entity.pop("language", None)
    return plain, entities
