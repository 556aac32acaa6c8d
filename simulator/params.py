"""A request's parameters, read as leniently as Telegram reads them and no more."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from simulator.errors import bad_request
from simulator.model import Json
from simulator.utf16 import encodable


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def loads(text: str | bytes) -> Any:
    """Parse strict JSON, without NaN and the infinities; raises ValueError."""
    return json.loads(text, parse_constant=_refuse)


@dataclass
class Upload:
    """A file of a multipart request."""

    name: str
    mime: str
    data: bytes


@dataclass
class Params:
    """Named values: native ones from a JSON body, strings from forms and query strings."""

    values: Json = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The value as a string; "" when absent."""
        value = self.values.get(name)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def has(self, name: str) -> bool:
        """True when the parameter was sent and is not empty."""
        return self.values.get(name) not in (None, "")

    def integer(self, name: str, default: int = 0) -> int:
        """The value as a 64-bit integer; `default` when absent, 0 when it is no number."""
        if not self.has(name):
            return default
        return to_integer(self.values[name])

    def flag(self, name: str) -> bool:
        """The value as a boolean; false when absent."""
        return self.text(name).strip().lower() in ("true", "yes", "1")

    def json(self, name: str, what: str = "") -> Any:
        """The value as JSON; None when absent. Raises 400 when it does not parse."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            parsed = loads(value)
        except (ValueError, RecursionError):
            raise bad_request(f"can't parse {what or name} JSON object") from None
        if not encodable(parsed):
            raise bad_request("strings must be encoded in UTF-8")
        return parsed

    def shown(self) -> Json:
        """The parameters as the log keeps them: JSON parsed, files by name and size."""
        shown: Json = {}
        for name, value in self.values.items():
            shown[name] = value
            if isinstance(value, str) and value[:1] in ("{", "["):
                try:
                    shown[name] = loads(value)
                except (ValueError, RecursionError):
                    continue
        for name, upload in self.files.items():
            shown[name] = {"file_name": upload.name, "file_size": len(upload.data)}
        return shown


def to_integer(value: Any) -> int:
    """An integer within 64 bits out of a JSON number or a numeric string, else 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = int(value) if value == value and abs(value) < 2**63 else 0
    else:
        match = re.fullmatch(r"\s*(-?\d{1,19})\s*", str(value), re.ASCII)
        number = int(match[1]) if match else 0
    return number if -(2**63) <= number < 2**63 else 0


async def read_params(request: web.Request) -> Params:
    """Parameters of the query string and of the body, whatever its type; raises 400."""
    params = Params(dict(request.query))
    kind = request.content_type
    if request.can_read_body or request.method == "POST":
        if kind == "application/json":
            await _read_json(request, params)
        elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            await _read_form(request, params)
    if not encodable(params.values):
        raise bad_request("strings must be encoded in UTF-8")
    return params


async def _read_json(request: web.Request, params: Params) -> None:
    body = await request.read()
    if not body.strip():
        return
    try:
        parsed = loads(body)
    except (ValueError, RecursionError):
        raise bad_request("can't parse JSON object") from None
    if not isinstance(parsed, dict):
        raise bad_request("object expected as the request body")
    params.values.update(parsed)


async def _read_form(request: web.Request, params: Params) -> None:
    try:
        form = await request.post()
    except (ValueError, AssertionError, LookupError):
        raise bad_request("can't parse the request body") from None
    for name, value in form.items():
        if isinstance(value, FileField):
            upload = Upload(value.filename, value.content_type, value.file.read())
            params.files[name] = upload
        elif isinstance(value, (bytes, bytearray)):
            params.files[name] = Upload(name, "application/octet-stream", bytes(value))
        else:
            params.values[name] = value
