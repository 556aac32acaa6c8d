"""Files: kept in memory, addressed by file_id, measured when they are pictures."""

from __future__ import annotations

import hashlib
import mimetypes
import struct
import zlib

from simulator.model import Json, StoredFile

MAX_PHOTO = 10 * 1024 * 1024
MAX_UPLOAD = 50 * 1024 * 1024
MAX_DOWNLOAD = 20 * 1024 * 1024
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "gif": ".gif", "webp": ".webp"}


class FileStore:
    """All uploaded files, by id and by download path."""

    def __init__(self) -> None:
        self.by_id: dict[str, StoredFile] = {}
        self.by_path: dict[str, StoredFile] = {}
        self.last_number = 0

    def add(self, kind: str, data: bytes, name: str, mime: str) -> StoredFile:
        """Keep a "photo", "document" or "voice" and give it an id and a path."""
        self.last_number = number = self.last_number + 1
        width, height, form = image_size(data) if kind == "photo" else (0, 0, "")
        guessed = mimetypes.guess_type(name)[0] if not mime or "octet" in mime else None
        digest = hashlib.sha256(data + kind.encode() + name.encode()).hexdigest()
        suffix = _SUFFIX.get(form, "") or ("." + name.rpartition(".")[2] if "." in name else "")
        suffix = suffix if suffix[1:].isascii() and suffix[1:].isalnum() else ""
        stored = StoredFile(
            file_id=f"SIM{kind[:3].upper()}_{number:05d}{digest[:40]}",
            file_unique_id=f"SIM{digest[:12]}",
            path=f"{kind}s/file_{number}{suffix}",
            data=data,
            name=name or f"file_{number}{suffix}",
            mime=guessed or mime or "application/octet-stream",
            kind=kind,
            width=width,
            height=height,
        )
        self.by_id[stored.file_id] = stored
        self.by_path[stored.path] = stored
        return stored


def image_size(data: bytes) -> tuple[int, int, str]:
    """(width, height, format) of a PNG, JPEG, GIF or WebP; (0, 0, "") of anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height, "png"
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height, "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return 512, 512, "webp"
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    return 0, 0, ""


def _jpeg_size(data: bytes) -> tuple[int, int, str]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height, "jpeg"
        at += 2 + size
    return 0, 0, ""


def sample_picture(width: int = 320, height: int = 200) -> bytes:
    """A small PNG (a soft gradient), for whoever wants to send a picture and has none."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            mix = (x + y) / (width + height)
            rows += bytes((int(92 + 120 * mix), int(150 - 30 * mix), int(235 - 90 * mix)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def photo_json(stored: StoredFile) -> Json:
    """The PhotoSize object."""
    return {
        "file_id": stored.file_id,
        "file_unique_id": stored.file_unique_id,
        "file_size": stored.size,
        "width": stored.width,
        "height": stored.height,
    }


def media_json(stored: StoredFile) -> Json:
    """The message fields that carry the file."""
    base: Json = {
        "file_id": stored.file_id,
        "file_unique_id": stored.file_unique_id,
        "file_size": stored.size,
        "mime_type": stored.mime,
    }
    if stored.kind == "photo":
        return {"photo": [photo_json(stored)]}
    if stored.kind == "voice":
        return {"voice": base | {"duration": 3}}
    return {"document": base | {"file_name": stored.name}}
