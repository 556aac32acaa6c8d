"""Photos and documents, up and down."""

from __future__ import annotations

import base64
import io
from typing import Any

import aiohttp
import pytest

from simulator.app import Simulator
from simulator.files import MAX_DOWNLOAD, MAX_PHOTO, image_size, sample_picture
from simulator.world import DEFAULT_TOKEN

from .conftest import GROUP, OMAR, Bot, Control

PNG = sample_picture(40, 30)


async def upload(bot: Bot, method: str, field: str, data: bytes, **params: Any) -> dict[str, Any]:
    form = aiohttp.FormData({name: str(value) for name, value in params.items()})
    # Wrapped, because aiohttp warns of large bytes.
    form.add_field(field, io.BytesIO(data), filename="cat.png", content_type="image/png")
    target = f"{bot.url}/bot{bot.token}/{method}"
    async with bot.session.post(target, data=form) as response:
        body: dict[str, Any] = await response.json()
        return body


async def download(bot: Bot, path: str) -> tuple[int, bytes]:
    async with bot.session.get(f"{bot.url}/file/bot{bot.token}/{path}") as response:
        return response.status, await response.read()


async def test_a_customers_photo_can_be_fetched_and_sent_on(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    data = base64.b64encode(PNG).decode()
    await control.post(f"customers/{ada}/photo", data_base64=data, caption="broken /again")
    message = (await bot.updates())[0]["message"]
    assert message["caption"] == "broken /again"
    assert message["caption_entities"][0]["type"] == "bot_command"
    (photo,) = message["photo"]
    assert (photo["width"], photo["height"], photo["file_size"]) == (40, 30, len(PNG))
    file = await bot.call("getFile", file_id=photo["file_id"])
    assert await download(bot, file["file_path"]) == (200, PNG)
    sent = await bot.call("sendPhoto", chat_id=GROUP, photo=photo["file_id"])
    assert sent["photo"][0]["file_unique_id"] == photo["file_unique_id"]


async def test_uploads_come_by_name_or_attached(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    body = await upload(bot, "sendPhoto", "photo", PNG, chat_id=ada, caption="<b>x</b>",
                        parse_mode="HTML")  # fmt: skip
    assert body["result"]["caption_entities"] == [{"type": "bold", "offset": 0, "length": 1}]
    body = await upload(bot, "sendDocument", "it", b"text", chat_id=ada, document="attach://it")
    document = body["result"]["document"]
    assert (document["file_name"], document["file_size"]) == ("cat.png", 4)
    path = (await bot.call("getFile", file_id=document["file_id"]))["file_path"]
    assert await download(bot, path) == (200, b"text")


async def test_an_operators_document_arrives_in_its_topic(bot: Bot, control: Control) -> None:
    topic = await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    thread = topic["message_thread_id"]
    await control.post(f"operators/{OMAR}/document", name="label.pdf", thread=thread)
    message = (await bot.updates())[0]["message"]
    assert message["message_thread_id"] == thread
    assert message["document"]["file_name"] == "label.pdf"
    assert message["document"]["mime_type"] == "application/pdf"


@pytest.mark.parametrize(
    ("method", "params", "refusal"),
    [
        ("sendPhoto", {}, "there is no photo in the request"),
        ("sendDocument", {}, "there is no document in the request"),
        ("sendPhoto", {"photo": "unknown"}, "wrong file identifier/HTTP URL specified"),
        ("sendPhoto", {"photo": "attach://x"}, "wrong file identifier/HTTP URL specified"),
        ("sendPhoto", {"photo": "https://a.example/x.png"}, "failed to get HTTP URL content"),
        ("getFile", {"file_id": "unknown"}, "invalid file_id"),
    ],
)
async def test_files_that_are_not_there_are_refused(
    bot: Bot, control: Control, method: str, params: dict[str, str], refusal: str
) -> None:
    ada = await control.customer()
    found = await bot.refused(method, chat_id=ada, **params)
    assert found == f"Bad Request: {refusal}"


async def test_uploads_that_telegram_would_not_take_are_refused(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    for data, code in ((b"no picture", 400), (b"", 400), (PNG + b"\0" * MAX_PHOTO, 413)):
        body = await upload(bot, "sendPhoto", "photo", data, chat_id=ada)
        assert body["error_code"] == code, body


async def test_a_document_is_no_photo(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    sent = await control.post(f"customers/{ada}/document")
    file_id = sent["document"]["file_id"]
    refusal = await bot.refused("sendPhoto", chat_id=ada, photo=file_id)
    assert refusal == "Bad Request: can't use file of type Document as Photo"


async def test_a_file_over_20_megabytes_cannot_be_fetched(
    simulator: Simulator, bot: Bot, control: Control
) -> None:
    big = simulator.world.files.add("document", b"x" * (MAX_DOWNLOAD + 1), "big.bin", "")
    assert await bot.refused("getFile", file_id=big.file_id) == "Bad Request: file is too big"


async def test_unknown_paths_and_tokens_are_refused(bot: Bot) -> None:
    assert (await download(bot, "photos/nothing.png"))[0] == 404
    assert (await download(bot, "../../etc/passwd"))[0] == 404
    bot.token = DEFAULT_TOKEN[:-1] + "x"
    assert (await download(bot, "photos/nothing.png"))[0] == 401


def test_pictures_are_measured() -> None:
    jpeg = (
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x1e\x00\x28\x01\x01\x11\x00"
        + b"\0" * 8
    )
    assert image_size(PNG) == (40, 30, "png")
    assert image_size(jpeg) == (40, 30, "jpeg")
    assert image_size(b"GIF89a\x28\x00\x1e\x00") == (40, 30, "gif")
    assert image_size(b"\xff\xd8") == (0, 0, "")
