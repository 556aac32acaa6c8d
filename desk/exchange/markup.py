"""Answers' texts between a pack's markup (Telegram's HTML) and that of other systems."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from desk.telegram_html import escaped, html_problems

_ENTITY = re.compile(r"&(?!(?:#\d+|#x[0-9a-fA-F]+|lt|gt|amp|quot);)")
_CHATWOOT_CUSTOMER = re.compile(r"\{\{ *contact\.(?:first_)?name *\}\}")
_ZAMMAD_CUSTOMER = re.compile(r"#\{ *ticket\.customer\.(?:firstname|fullname) *\}")
_QUOTE = re.compile(r"&(?:quot|#34|#39|#x22|#x27);")
_FOREIGN = (("{{", "}}"), ("#{", "}"))
_LINK = re.compile(r"<(?P<end>/?)a(?=[\s>])(?P<attributes>[^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?P<name>[A-Za-z-]+)(?:=(?P<quoted>"[^"]*"|'[^']*'))?""")
_ADDRESS = re.compile(
    r"(?!.*\{customer\})(?:https?://|mailto:|tel:|\{[^{}]+\})", re.IGNORECASE | re.DOTALL
)
"""How the address of a link may begin; a pack fills in its own, but a customer's name nowhere.
Others, such as tg: of a person or javascript:, are nothing that a customer should be led to by a
stranger's file."""
_KEPT = {"strong": "b", "em": "i", "del": "s", "strike": "s", "ins": "u"} | {
    tag: tag for tag in ("a", "b", "blockquote", "code", "i", "pre", "s", "u")
}
_BLOCK = re.compile(r"div|p|ul|ol|li|table|tr|h[1-6]|section|article|hr|blockquote|pre")
_MARKS = {
    "b": "**",
    "strong": "**",
    "i": "_",
    "em": "_",
    "s": "~~",
    "del": "~~",
    "strike": "~~",
}
_SPECIAL = re.compile(r"[\\*`~\[\]]|(?<![^\W_])_|_(?![^\W_])|<(?=https?:|mailto:)")
_MARKDOWN = re.compile(
    r"""\\(?P<escaped>[!-/:-@\[-`{-~])
      | \\(?P<broken>\n)
      | <(?P<bare>(?:https?://|mailto:)[^\s<>]+)>
      | (?<![^\\]`)(?P<fence>`{3,}+)\n(?P<pre>.+?)\n(?P=fence)(?!`)
      | (?<![^\\]`)(?P<ticks>`++)(?P<code>[^\n]+?)(?<!`)(?P=ticks)(?!`)
      | \[(?P<words>(?:\\.|[^\[\]\\\n])++)\]\((?P<url>[^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)
      | (?P<mark>\*{1,3}|~~|__?)""",
    re.VERBOSE | re.DOTALL,
)
_MARKED = {
    "***": ("<b><i>", "</i></b>"),
    "**": ("<b>", "</b>"),
    "__": ("<b>", "</b>"),
    "~~": ("<s>", "</s>"),
    "_": ("<i>", "</i>"),
    "*": ("<i>", "</i>"),
}
"""What opens and what closes."""


def foreign_variable(text: str) -> str | None:
    """What another system would fill in and a pack can't, such as `{{agent.name}}`."""
    found = []
    for begin, end in _FOREIGN:
        start = text.find(begin)
        # If the first one has no end behind it, no later one has.
        stop = text.find(end, start + len(begin)) if start >= 0 else -1
        if stop >= 0:
            found.append((start, text[start : stop + len(end)]))
    return min(found)[1] if found else None


def from_plain(text: str) -> str:
    """A text that may already have a pack's markup (then it stays, but for links that lead where
    none may), or else is plain."""
    if html_problems(text):
        return escaped(text)
    return _ENTITY.sub("&amp;", _without_foreign_links(text))


def _without_foreign_links(text: str) -> str:
    """A text with sound markup, in which links with other addresses are their words alone."""
    kept: list[bool] = []

    def tag(found: re.Match[str]) -> str:
        if found["end"]:
            return found[0] if kept.pop() else ""
        addresses = [
            html.unescape((attribute["quoted"] or "")[1:-1])
            for attribute in _ATTRIBUTE.finditer(found["attributes"])
            if attribute["name"].lower() == "href"
        ]
        kept.append(bool(addresses) and all(map(_ADDRESS.match, addresses)))
        return found[0] if kept[-1] else ""

    return _LINK.sub(tag, text)


def to_plain(text: str) -> str:
    """A pack's text for a system whose texts are plain: without entities, where it has no markup
    and `from_plain` makes the same of it; else as it is."""
    # Quotes need no entity, and come back without one.
    text = _QUOTE.sub(lambda found: html.unescape(found[0]), text)
    plain = html.unescape(text)
    return plain if "<" not in text and from_plain(plain) == from_plain(text) else text


def from_chatwoot(text: str, lost: list[str]) -> str:
    """Chatwoot's Markdown and its contact's name in a pack's markup. Addresses of links of which
    only the words stay are added to `lost`."""
    text = _CHATWOOT_CUSTOMER.sub("{customer}", text.replace("\r\n", "\n").strip())
    foreign: list[str] = []
    marked = _from_markdown(text, foreign)
    if html_problems(marked):
        return escaped(text)
    lost += foreign
    return marked


def from_zammad(text: str, lost: list[str]) -> str:
    """Zammad's HTML and its customer's name in a pack's markup; pictures and styles are lost, and
    addresses as above."""
    text = _ZAMMAD_CUSTOMER.sub("{customer}", text.replace("\r\n", "\n").strip())
    if not re.search(r"<[a-zA-Z/]", text):
        return from_plain(text)
    # What is behind the last end of a tag is none, and a parser would look for one again and again.
    tagged, end, rest = text.rpartition(">")
    reader = _ZammadReader(lost)
    reader.feed(tagged + end + rest.replace("<", "&lt;"))
    reader.close()
    return reader.result()


def to_chatwoot(text: str) -> str:
    """A pack's markup as Markdown, with Chatwoot's contact's name."""
    reader = _MarkdownWriter()
    reader.feed(text)
    reader.close()
    return "".join(reader.parts).replace("{customer}", "{{contact.name}}")


def to_zammad(text: str) -> str:
    """A pack's markup as Zammad's HTML, always with a tag: without one, Zammad would escape it."""
    lines = text.replace("\n", "<br>").replace("{customer}", "#{ticket.customer.firstname}")
    return f"<div>{lines}</div>"


def _from_markdown(text: str, lost: list[str]) -> str:
    parts: list[str] = []
    opened: list[tuple[str, int]] = []
    end = 0
    for found in _MARKDOWN.finditer(text):
        parts.append(escaped(text[end : found.start()]))
        end = found.end()
        mark = found["mark"]
        if not mark:
            parts.append(_element(found, lost))
            continue
        before, after = text[found.start() - 1 : found.start()], text[end : end + 1]
        if opened and opened[-1][0] == mark and _touches(mark, before, after):
            opened.pop()
            parts.append(_MARKED[mark][1])
        elif _touches(mark, after, before):
            opened.append((mark, len(parts)))
            parts.append(_MARKED[mark][0])
        else:
            parts.append(mark)
    for mark, place in opened:  # what is never closed is no mark
        parts[place] = mark
    return "".join((*parts, escaped(text[end:])))


def _touches(mark: str, inner: str, outer: str) -> bool:
    """Whether a mark touches what it marks, as those must that plain texts have for themselves;
    underscores, unlike stars, never within a word."""
    if mark in ("**", "~~"):
        return True
    return bool(inner.strip()) and not (mark[0] == "_" and outer.isalnum())


def _element(found: re.Match[str], lost: list[str]) -> str:
    """What is no mark around other text, as a pack has it."""
    if found["escaped"] or found["broken"]:
        return escaped(found["escaped"] or found["broken"])
    if found["bare"]:
        return f'<a href="{html.escape(found["bare"])}">{escaped(found["bare"])}</a>'
    if found["pre"]:
        return f"<pre>{escaped(found['pre'])}</pre>"
    if found["code"]:
        code = re.sub(r"^ (`.*|.*`) $", r"\1", found["code"])
        return f"<code>{escaped(code)}</code>"
    url = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", found["url"])
    words = _from_markdown(found["words"], lost)
    if _ADDRESS.match(url):
        return f'<a href="{html.escape(url)}">{words}</a>'
    lost.append(url)
    return words


class _MarkdownWriter(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        """What is written so far of the element that is open, or of the whole."""
        self._around: list[list[str]] = []
        """The parts of the elements around it, outermost first."""
        self._links: list[str] = []
        self._code_of = ""
        self._code_depth = 0
        """How many tags of that name are open: one may stand within another."""
        self._code: list[str] = []
        self._last_code: tuple[int, str, str] | None = None
        """How many parts there were with it, its tag and itself."""
        self._last_italic: tuple[int, str, str] | None = None
        """How many parts there were with it, the sign before it and what is in it."""
        self._quoted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._code_of:
            self._code_depth += tag == self._code_of
            return
        if self._quoted:
            self.parts.append("\n\n")
            self._quoted = False
        if tag in ("code", "pre"):
            self._code_of, self._code_depth, self._code = tag, 1, []
        elif tag == "a" or tag in _MARKS or tag == "blockquote":
            if self._follows_block():
                self.parts.append("\n")
            self._around.append(self.parts)
            self.parts, self._last_code, self._last_italic = [], None, None
        if tag == "a":
            self._links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._code_of:
            self._code_depth -= tag == self._code_of
            if not self._code_depth:
                self._write_code(tag, "".join(self._code))
                self._code_of = ""
            return
        if tag != "a" and tag not in _MARKS and tag != "blockquote":
            return
        inner = "".join(self.parts)
        self.parts, self._last_code, self._last_italic = self._around.pop(), None, None
        if tag == "a":
            self.parts.append(f"[{inner}]({self._links.pop()})")
        elif tag == "blockquote":
            before = "".join(self.parts).rstrip("\n")
            lines = "\n".join(f"> {line}".rstrip() for line in inner.strip().split("\n"))
            self.parts = [f"{before}\n\n" if before else "", lines]
            self._quoted = True
        else:
            self._write_marked(_MARKS[tag], inner)

    def handle_data(self, data: str) -> None:
        if self._code_of:
            self._code.append(data)
            return
        if self._quoted:
            data = "\n\n" + data.lstrip("\n")
            self._quoted = False
        if self._follows_block() and not data.startswith("\n"):
            data = "\n" + data
        if self._last_italic and self._last_italic[0] == len(self.parts):
            self.parts[-1] = _italic(*self._last_italic[1:], data[:1])
        if data:
            self.parts.append(_SPECIAL.sub(r"\\\g<0>", data))

    def _write_marked(self, mark: str, inner: str) -> None:
        """Marks must touch what they mark: spaces at its ends go outside, and alone get none."""
        marked = inner.strip()
        if not marked:
            self.parts.append(inner)
            return
        start = inner.index(marked)
        before, after = inner[:start], inner[start + len(marked) :]
        if before:
            self.parts.append(before)
        if mark == "_":
            sign = self.parts[-1][-1:] if self.parts else ""
            self.parts.append(_italic(sign, marked, ""))
            self._last_italic = len(self.parts), sign, marked
        else:
            if mark == "**" and "*" in (marked[0], marked[-1]):
                mark = "__"
            self.parts.append(f"{mark}{marked}{mark}")
        if after:
            self.parts.append(after)

    def _write_code(self, tag: str, code: str) -> None:
        """Code that follows code without a sign between goes into the same backticks, or on a line
        of its own: backticks that touch would be read as one row of them. So does a block."""
        if not code:
            return
        last = self._last_code
        if last is not None and last[0] == len(self.parts) and tag == last[1] == "code":
            self.parts.pop()
            code = last[2] + code
        elif self._follows_block() or (
            tag == "pre" and self.parts and not self.parts[-1].endswith("\n")
        ):
            self.parts.append("\n")
        self.parts.append(_fenced(code, block=tag == "pre"))
        self._last_code = len(self.parts), tag, code

    def _follows_block(self) -> bool:
        last = self._last_code
        return last is not None and last[:2] == (len(self.parts), "pre")


def _italic(before: str, text: str, after: str) -> str:
    """Underscores mark nothing within a word. Stars do, but must not touch other stars."""
    within_word = before.isalnum() or after.isalnum()
    mark = "*" if within_word and "*" not in (before, text[0], text[-1]) else "_"
    return f"{mark}{text}{mark}"


def _fenced(code: str, *, block: bool) -> str:
    """Code between more backticks than stand in it."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    if block:
        fence = "`" * max(3, longest + 1)
        return f"{fence}\n{code}\n{fence}"
    fence = "`" * (longest + 1)
    space = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{fence}{space}{code}{space}{fence}"


class _ZammadReader(HTMLParser):
    def __init__(self, lost: list[str]) -> None:
        super().__init__()
        self._lost = lost
        self._parts: list[str] = []
        self._opened: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script"):
            self._silent += 1
        if tag == "br":
            self._parts.append("\n")
        if _BLOCK.fullmatch(tag):
            self._break()
        if tag == "li":
            self._parts.append("• ")
        if tag in ("td", "th"):
            self._parts.append(" ")
        kept = _KEPT.get(tag)
        if kept == "a":
            url = dict(attrs).get("href") or ""
            if _ADDRESS.match(url):
                self._opened.append(kept)
                self._parts.append(f'<a href="{html.escape(url)}">')
            elif url:
                self._lost.append(url)
        elif kept:
            self._opened.append(kept)
            self._parts.append(f"<{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._silent = max(0, self._silent - 1)
        kept = _KEPT.get(tag)
        if kept in self._opened:
            while self._close() != kept:
                pass
        if _BLOCK.fullmatch(tag):
            self._break()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if "pre" not in self._opened:
            data = re.sub(r"\s+", " ", data)
        self._parts.append(escaped(data))

    def result(self) -> str:
        while self._opened:
            self._close()
        # What is preformatted keeps its spaces and its lines.
        pieces = re.split(r"(<pre>.*?</pre>)", "".join(self._parts), flags=re.DOTALL)
        for place in range(0, len(pieces), 2):
            lines = re.sub(r" {2,}", " ", re.sub(r" *\n *", "\n", pieces[place]))
            pieces[place] = re.sub(r"\n{3,}", "\n\n", lines)
        return "".join(pieces).strip()

    def _close(self) -> str:
        tag = self._opened.pop()
        self._parts.append(f"</{tag}>")
        return tag

    def _break(self) -> None:
        if self._parts and not self._parts[-1].endswith("\n"):
            self._parts.append("\n")
