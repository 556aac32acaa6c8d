"""Photos and documents: sending them, and fetching what people sent."""

from __future__ import annotations

from simulator.errors import ApiError, bad_request
from simulator.files import MAX_DOWNLOAD, MAX_PHOTO, MAX_UPLOAD, image_size
from simulator.keyboards import parse_markup
from simulator.methods.registry import Call, method
from simulator.methods.send import post, read_caption
from simulator.methods.target import writable_chat
from simulator.model import Json, StoredFile
from simulator.view import message_json


def _file(call: Call, kind: str) -> StoredFile:
    """The file that the parameter `kind` uploads or names; raises 400 or 413."""
    named = call.params.text(kind)
    attached = named.removeprefix("attach://") if named.startswith("attach://") else kind
    upload = call.params.files.get(attached)
    if upload is None:
        return _known_file(call, kind, named)
    if not upload.data:
        raise bad_request("file must be non-empty")
    if len(upload.data) > (MAX_PHOTO if kind == "photo" else MAX_UPLOAD):
        raise ApiError(413, "Request Entity Too Large")
    if kind == "photo":
        width, height, _ = image_size(upload.data)
        if not width or not height:
            raise bad_request("IMAGE_PROCESS_FAILED")
        if width + height > 10_000 or max(width, height) > 20 * min(width, height):
            raise bad_request("PHOTO_INVALID_DIMENSIONS")
    return call.world.files.add(kind, upload.data, upload.name, upload.mime)


def _known_file(call: Call, kind: str, named: str) -> StoredFile:
    if not named:
        raise bad_request(f"there is no {kind} in the request")
    if named.startswith("attach://"):
        raise bad_request("wrong file identifier/HTTP URL specified")
    if named.lower().startswith(("http://", "https://")):
        # The simulator reaches nothing outside.
        raise bad_request("failed to get HTTP URL content")
    stored = call.world.files.by_id.get(named)
    if stored is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if stored.kind != kind:
        raise bad_request(f"can't use file of type {stored.kind.title()} as {kind.title()}")
    return stored


def _send(call: Call, kind: str) -> Json:
    text, entities = read_caption(call)
    stored = _file(call, kind)
    chat = writable_chat(call)
    markup = parse_markup(call.params, private=chat.is_private)
    message = post(call, chat, markup, text=text, entities=entities, media=stored)
    return message_json(message)


@method("sendPhoto")
def send_photo(call: Call) -> Json:
    return _send(call, "photo")


@method("sendDocument")
def send_document(call: Call) -> Json:
    return _send(call, "document")


@method("getFile")
def get_file(call: Call) -> Json:
    stored = call.world.files.by_id.get(call.params.text("file_id"))
    if stored is None:
        raise bad_request("invalid file_id")
    if stored.size > MAX_DOWNLOAD:
        raise bad_request("file is too big")
    return {
        "file_id": stored.file_id,
        "file_unique_id": stored.file_unique_id,
        "file_size": stored.size,
        "file_path": stored.path,
    }
