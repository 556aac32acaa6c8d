"""Reply markup: what a bot may attach to a message, checked as Telegram checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.errors import ApiError, bad_request
from simulator.links import link_error
from simulator.model import Json
from simulator.params import Params

MAX_BUTTONS = 100
MAX_CALLBACK_DATA = 64


@dataclass
class Markup:
    """An inline keyboard (kept with the message) or a keyboard for the customer's phone."""

    inline: list[list[Json]] | None = None
    keyboard: Json | None = None


def parse_markup(params: Params, *, private: bool = True) -> Markup:
    """Read and check `reply_markup`; raises 400 ApiError."""
    raw = params.json("reply_markup", "reply keyboard markup")
    if raw is None:
        return Markup()
    if not isinstance(raw, dict):
        raise bad_request("object expected as reply markup")
    if "inline_keyboard" in raw:
        return Markup(inline=_inline(raw["inline_keyboard"], private) or None)
    if "keyboard" in raw:
        return Markup(keyboard=_reply_keyboard(raw))
    if raw.get("remove_keyboard") is True:
        return Markup(keyboard={"remove_keyboard": True})
    if raw.get("force_reply") is True:
        return Markup(keyboard={"force_reply": True})
    return Markup()


def _rows(raw: Any, what: str, field: str) -> list[list[Any]]:
    if not isinstance(raw, list):
        raise bad_request(f'field "{field}" of the {what} must be an Array of Arrays')
    for row in raw:
        if not isinstance(row, list):
            raise bad_request(f'field "{field}" of the {what} must be an Array of Arrays')
    return [row for row in raw if row]


def _inline(raw: Any, private: bool) -> list[list[Json]]:
    rows = _rows(raw, "InlineKeyboardMarkup", "inline_keyboard")
    if sum(map(len, rows)) > MAX_BUTTONS:
        raise bad_request("reply markup is too long")
    return [[_button(button, private) for button in row] for row in rows]


def _unparsed(reason: str) -> ApiError:
    return bad_request(f"can't parse inline keyboard button: {reason}")


def _button(raw: Any, private: bool) -> Json:
    if not isinstance(raw, dict):
        raise _unparsed("InlineKeyboardButton must be an Object")
    text = raw.get("text")
    if not isinstance(text, str):
        raise _unparsed('Field "text" must be of type String')
    if not text.strip():
        raise bad_request("BUTTON_TEXT_INVALID")
    button: Json = {"text": text}
    for kept in ("style", "icon_custom_emoji_id"):
        if isinstance(raw.get(kept), str):
            button[kept] = raw[kept]
    for field, read in _ACTIONS.items():
        if field in raw:
            return button | {field: read(raw, private)}
    raise _unparsed("Text buttons are unallowed in the inline keyboard")


def _url(raw: Json, private: bool) -> str:
    url = _string(raw, "url")
    if reason := link_error(url):
        raise bad_request(f"inline keyboard button URL '{url}' is invalid: {reason}")
    return url if ":" in url else f"http://{url}"


def _callback_data(raw: Json, private: bool) -> str:
    data = _string(raw, "callback_data")
    if not 1 <= len(data.encode()) <= MAX_CALLBACK_DATA:
        raise bad_request("BUTTON_DATA_INVALID")
    return data


def _copy_text(raw: Json, private: bool) -> Json:
    copied = raw["copy_text"].get("text") if isinstance(raw["copy_text"], dict) else None
    if not isinstance(copied, str) or not 1 <= len(copied) <= 256:
        raise bad_request("BUTTON_COPY_TEXT_INVALID")
    return {"text": copied}


def _web_app(raw: Json, private: bool) -> Json:
    app = raw["web_app"]
    url = app.get("url") if isinstance(app, dict) else None
    if not isinstance(url, str):
        raise _unparsed('Field "url" must be of type String')
    if not private:
        raise bad_request("BUTTON_TYPE_INVALID")
    if not url.lower().startswith("https://"):
        raise bad_request(
            f"inline keyboard button Web App URL '{url}' is invalid: Only HTTPS links are allowed"
        )
    return {"url": url}


def _string(raw: Json, field: str) -> str:
    value = raw[field]
    if not isinstance(value, str):
        raise _unparsed(f'Field "{field}" must be of type String')
    return value


# What a button may do, in the order in which Telegram looks for it.
_ACTIONS: dict[str, Callable[[Json, bool], Any]] = {
    "url": _url,
    "callback_data": _callback_data,
    "web_app": _web_app,
    "copy_text": _copy_text,
    "switch_inline_query": lambda raw, _: _string(raw, "switch_inline_query"),
    "switch_inline_query_current_chat": lambda raw, _: _string(
        raw, "switch_inline_query_current_chat"
    ),
}


def _reply_keyboard(raw: Json) -> Json:
    rows: list[list[Json]] = []
    for row in _rows(raw["keyboard"], "ReplyKeyboardMarkup", "keyboard"):
        buttons: list[Json] = []
        for given in row:
            button = {"text": given} if isinstance(given, str) else given
            if not isinstance(button, dict) or not isinstance(button.get("text"), str):
                raise bad_request(
                    "can't parse keyboard button: KeyboardButton must be a String or an Object "
                    'with a field "text"'
                )
            if not button["text"]:
                raise bad_request("keyboard button text must be non-empty")
            buttons.append(button)
        rows.append(buttons)
    return {
        "keyboard": rows,
        "one_time_keyboard": raw.get("one_time_keyboard") is True,
        "resize_keyboard": raw.get("resize_keyboard") is True,
    }
