"""Sending, editing, deleting, copying: what Telegram gives and how it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.app import Simulator

from .conftest import GROUP, OLGA, OMAR, Bot, Control

UNPARSED = "can't parse inline keyboard button: "
ONLY_HTTPS = "Only HTTPS links are allowed"


def keyboard(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"inline_keyboard": [list(buttons)]}


async def test_a_sent_message_comes_back_with_its_chat_its_sender_and_its_entities(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada", last_name="Lovelace", username="ada")
    sent = await bot.call("sendMessage", chat_id=ada, text="<b>Hi</b> 🙂 Ada", parse_mode="HTML")
    assert sent["text"] == "Hi 🙂 Ada"
    assert sent["entities"] == [{"type": "bold", "offset": 0, "length": 2}]
    assert sent["from"]["is_bot"]
    assert sent["chat"] == {
        "id": ada,
        "type": "private",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "username": "ada",
    }
    assert sent["message_id"] == 2


async def test_message_ids_count_per_chat(bot: Bot, control: Control) -> None:
    ada, bob = await control.customer("Ada"), await control.customer("Bob")
    ids = [(await bot.call("sendMessage", chat_id=c, text="x"))["message_id"] for c in (ada, bob)]
    assert ids == [2, 2]


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00\x01", "<b></b>", "<i> </i>"])
async def test_an_empty_text_is_refused(bot: Bot, control: Control, text: str) -> None:
    ada = await control.customer()
    refusal = await bot.refused("sendMessage", chat_id=ada, text=text, parse_mode="HTML")
    assert refusal == "Bad Request: message text is empty"


async def test_a_text_may_have_4096_utf16_units_after_parsing_and_no_more(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    fits = "<b>" + "🙂" * 2048 + "</b>"
    await bot.call("sendMessage", chat_id=ada, text=fits, parse_mode="HTML")
    refusal = await bot.refused("sendMessage", chat_id=ada, text="🙂" * 2048 + "x")
    assert refusal == "Bad Request: message is too long"


async def test_a_caption_may_have_1024_units(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    photo = (await control.post(f"customers/{ada}/photo"))["photo"][0]["file_id"]
    await bot.call("sendPhoto", chat_id=ada, photo=photo, caption="x" * 1024)
    refusal = await bot.refused("sendPhoto", chat_id=ada, photo=photo, caption="x" * 1025)
    assert refusal == "Bad Request: message caption is too long"


@pytest.mark.parametrize(
    ("chat", "refusal"),
    [
        (None, "Bad Request: chat_id is empty"),
        (424242, "Bad Request: chat not found"),
        (-100777, "Bad Request: chat not found"),
        ("@nobody", "Bad Request: chat not found"),
        ("garbage", "Bad Request: chat not found"),
    ],
)
async def test_an_unknown_chat_is_refused(bot: Bot, chat: Any, refusal: str) -> None:
    assert await bot.refused("sendMessage", chat_id=chat, text="x") == refusal


async def test_a_bot_cannot_write_first(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    body = await bot.answer("sendMessage", chat_id=ada, text="x")
    assert body["error_code"] == 403
    assert body["description"] == "Forbidden: bot can't initiate conversation with a user"


async def test_a_blocked_bot_is_told_so_until_it_is_unblocked(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await control.post(f"customers/{ada}/block")
    body = await bot.answer("sendMessage", chat_id=ada, text="x")
    assert body["error_code"] == 403
    assert body["description"] == "Forbidden: bot was blocked by the user"
    await control.post(f"customers/{ada}/unblock")
    await bot.call("sendMessage", chat_id=ada, text="x")


@pytest.mark.parametrize(
    ("markup", "refusal"),
    [
        (keyboard({"text": "x", "callback_data": "a" * 65}), "BUTTON_DATA_INVALID"),
        (keyboard({"text": "x", "callback_data": "ä" * 33}), "BUTTON_DATA_INVALID"),
        (keyboard({"text": "x", "callback_data": ""}), "BUTTON_DATA_INVALID"),
        (
            keyboard({"text": "x"}),
            UNPARSED + "Text buttons are unallowed in the inline keyboard",
        ),
        (
            keyboard({"callback_data": "x"}),
            UNPARSED + 'Field "text" must be of type String',
        ),
        (
            keyboard({"text": "x", "url": "http://localhost:8080/x"}),
            "inline keyboard button URL 'http://localhost:8080/x' is invalid: Wrong HTTP URL",
        ),
        (
            keyboard({"text": "x", "url": "ftp://a.b"}),
            "inline keyboard button URL 'ftp://a.b' is invalid: Unsupported URL protocol",
        ),
        (
            keyboard({"text": "x", "web_app": {"url": "http://a.example"}}),
            f"inline keyboard button Web App URL 'http://a.example' is invalid: {ONLY_HTTPS}",
        ),
        ({"inline_keyboard": [[{"text": "x", "callback_data": "y"}] * 101]},
         "reply markup is too long"),
        ({"inline_keyboard": "x"},
         'field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays'),
        ("{nonsense", "can't parse reply keyboard markup JSON object"),
        ([], "object expected as reply markup"),
    ],
)  # fmt: skip
async def test_a_faulty_keyboard_is_refused(
    bot: Bot, control: Control, markup: Any, refusal: str
) -> None:
    ada = await control.customer()
    found = await bot.refused("sendMessage", chat_id=ada, text="x", reply_markup=markup)
    assert found == f"Bad Request: {refusal}"


async def test_64_bytes_of_callback_data_are_fine(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    markup = keyboard({"text": "x", "callback_data": "ä" * 32})
    sent = await bot.call("sendMessage", chat_id=ada, text="x", reply_markup=markup)
    assert sent["reply_markup"] == markup


async def test_a_reply_names_its_message_or_fails_unless_told_not_to(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="x", reply_parameters={"message_id": 1})
    assert sent["reply_to_message"]["text"] == "/start"
    refusal = await bot.refused("sendMessage", chat_id=ada, text="x", reply_to_message_id=99)
    assert refusal == "Bad Request: message to be replied not found"
    lenient = {"message_id": 99, "allow_sending_without_reply": True}
    sent = await bot.call("sendMessage", chat_id=ada, text="x", reply_parameters=lenient)
    assert "reply_to_message" not in sent


async def test_a_reply_quotes_a_part_of_its_message_or_fails(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    asked = await bot.call("sendMessage", chat_id=ada, text="🙂 pink or red?")
    part = {"message_id": asked["message_id"], "quote": "or red"}
    sent = await bot.call("sendMessage", chat_id=ada, text="x", reply_parameters=part)
    assert sent["quote"] == {"text": "or red", "position": 8, "is_manual": True}
    other = part | {"quote": "or blue", "allow_sending_without_reply": True}
    refusal = await bot.refused("sendMessage", chat_id=ada, text="x", reply_parameters=other)
    assert refusal == "Bad Request: QUOTE_TEXT_INVALID"


async def test_explicit_entities_are_kept_and_checked(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    bold = {"type": "bold", "offset": 3, "length": 2}
    sent = await bot.call("sendMessage", chat_id=ada, text="🙂 ok", entities=[bold])
    assert sent["entities"] == [bold]
    for broken in ({"offset": 1, "length": 3}, {"offset": 0, "length": 9}):
        refusal = await bot.refused(
            "sendMessage", chat_id=ada, text="🙂 ok", entities=[broken | {"type": "bold"}]
        )
        assert refusal.startswith("Bad Request: entity beginning at UTF-16 offset")


async def test_white_space_at_the_ends_is_cut_and_entities_move_along(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="  \n <b> hi </b>\n", parse_mode="HTML")
    assert sent["text"] == "hi"
    assert sent["entities"] == [{"type": "bold", "offset": 0, "length": 2}]


async def test_an_edit_changes_text_and_drops_the_keyboard_unless_given(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    markup = keyboard({"text": "Yes", "callback_data": "y"})
    sent = await bot.call("sendMessage", chat_id=ada, text="one", reply_markup=markup)
    target = {"chat_id": ada, "message_id": sent["message_id"]}
    edited = await bot.call("editMessageText", **target, text="two")
    assert edited["text"] == "two"
    assert "edit_date" in edited
    assert "reply_markup" not in edited
    edited = await bot.call("editMessageReplyMarkup", **target, reply_markup=markup)
    assert edited["reply_markup"] == markup


async def test_edits_that_cannot_be_are_refused(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="one")
    target = {"chat_id": ada, "message_id": sent["message_id"]}
    same = await bot.refused("editMessageText", **target, text="<b></b>one", parse_mode="HTML")
    assert same == (
        "Bad Request: message is not modified: specified new message content and reply markup "
        "are exactly the same as a current content and reply markup of the message"
    )
    same = await bot.refused("editMessageReplyMarkup", **target)
    assert same.startswith("Bad Request: message is not modified")
    missing = await bot.refused("editMessageText", chat_id=ada, message_id=77, text="x")
    assert missing == "Bad Request: message to edit not found"
    foreign = await bot.refused("editMessageText", chat_id=ada, message_id=1, text="x")
    assert foreign == "Bad Request: message can't be edited"
    unnamed = await bot.refused("editMessageText", chat_id=ada, text="x")
    assert unnamed == "Bad Request: message identifier is not specified"


async def test_a_photo_has_a_caption_to_edit_and_no_text(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    photo = (await control.post(f"customers/{ada}/photo"))["photo"][0]["file_id"]
    sent = await bot.call("sendPhoto", chat_id=ada, photo=photo)
    target = {"chat_id": ada, "message_id": sent["message_id"]}
    refusal = await bot.refused("editMessageText", **target, text="x")
    assert refusal == "Bad Request: there is no text in the message to edit"
    edited = await bot.call("editMessageCaption", **target, caption="nice")
    assert edited["caption"] == "nice"


async def test_a_deleted_message_is_gone_for_everyone(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="x")
    target = {"chat_id": ada, "message_id": sent["message_id"]}
    assert await bot.call("deleteMessage", **target) is True
    refusal = await bot.refused("deleteMessage", **target)
    assert refusal == "Bad Request: message to delete not found"
    assert [m["text"] for m in await control.get(f"chats/{ada}/messages")] == ["/start"]


async def test_deleting_a_persons_message_in_a_group_takes_the_right_to(
    bot: Bot, control: Control
) -> None:
    message = await control.post(f"operators/{OLGA}/send", text="mine")
    target = {"chat_id": GROUP, "message_id": message["message_id"]}
    await control.patch(f"chats/{GROUP}", bot={"rights": {"can_delete_messages": False}})
    refusal = await bot.refused("deleteMessage", **target)
    assert refusal == "Bad Request: message can't be deleted"
    await control.patch(f"chats/{GROUP}", bot={"rights": {"can_delete_messages": True}})
    await bot.call("deleteMessages", chat_id=GROUP, message_ids=[message["message_id"], 5])


async def test_a_bot_deletes_nothing_that_is_older_than_48_hours(
    simulator: Simulator, bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    sent = [await bot.call("sendMessage", chat_id=chat, text="x") for chat in (ada, ada, GROUP)]
    targets = [{"chat_id": m["chat"]["id"], "message_id": m["message_id"]} for m in sent]
    now = simulator.world.clock()
    simulator.world.clock = lambda: now + 48 * 3600 - 60
    await bot.call("deleteMessage", **targets[0])
    simulator.world.clock = lambda: now + 48 * 3600
    refusal = await bot.refused("deleteMessage", **targets[1])
    assert refusal == "Bad Request: message can't be deleted for everyone"
    # Nor does the right to delete help it in a group.
    refusal = await bot.refused("deleteMessage", **targets[2])
    assert refusal == "Bad Request: message can't be deleted"
    ids = [targets[2]["message_id"]]
    assert refusal == await bot.refused("deleteMessages", chat_id=GROUP, message_ids=ids)


async def test_people_delete_messages_and_no_bot_hears_of_it(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="x")
    offset = (await bot.updates())[-1]["update_id"] + 1
    for number in (1, sent["message_id"]):
        gone = await control.post(f"customers/{ada}/delete", message_id=number)
        assert gone["deleted"] is True
    assert await control.get(f"chats/{ada}/messages") == []
    assert await bot.updates(offset=offset) == []
    refusal = await bot.refused("sendMessage", chat_id=ada, text="y", reply_to_message_id=1)
    assert refusal == "Bad Request: message to be replied not found"


async def test_in_a_group_people_delete_their_own_messages_unless_they_may_more(
    bot: Bot, control: Control
) -> None:
    topic = await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    thread = topic["message_thread_id"]
    card = await bot.call("sendMessage", chat_id=GROUP, text="card", message_thread_id=thread)
    own = await control.post(f"operators/{OMAR}/send", text="mine")
    await control.post(f"operators/{OMAR}/delete", message_id=own["message_id"])
    path, body = f"operators/{OMAR}/delete", {"message_id": card["message_id"]}
    assert await control.refused("POST", path, **body) == (
        403,
        "Omar may not delete what others wrote.",
    )
    await control.post(f"operators/{OLGA}/delete", **body)
    status, _ = await control.refused("POST", f"operators/{OLGA}/delete", message_id=thread)
    assert status == 409


async def test_people_write_no_longer_texts_and_captions_than_telegram_takes(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    me = f"customers/{ada}"
    # A flower counts as two.
    text = await control.post(f"{me}/send", text="💐" * 2048)
    photo = await control.post(f"{me}/photo", caption="x" * 1024)
    for path, body in (
        ("send", {"text": "💐" * 2048 + "x"}),
        ("edit", {"text": "💐" * 2048 + "x", "message_id": text["message_id"]}),
        ("photo", {"caption": "x" * 1025}),
        ("document", {"caption": "x" * 1025}),
        ("edit", {"text": "x" * 1025, "message_id": photo["message_id"]}),
    ):
        status, sentence = await control.refused("POST", f"{me}/{path}", **body)
        assert (status, "UTF-16 units at most" in sentence) == (400, True), path
    assert len(await bot.updates()) == 3
    await control.post(f"{me}/edit", text="y" * 1024, message_id=photo["message_id"])


async def test_a_copy_has_no_origin_and_a_forward_has(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await control.post(f"customers/{ada}/send", text="help me")
    copied = await bot.call("copyMessage", chat_id=GROUP, from_chat_id=ada, message_id=2)
    assert set(copied) == {"message_id"}
    forwarded = await bot.call("forwardMessage", chat_id=GROUP, from_chat_id=ada, message_id=2)
    assert forwarded["text"] == "help me"
    assert forwarded["forward_origin"]["sender_user"]["id"] == ada
    for method, verb in (("copyMessage", "copy"), ("forwardMessage", "forward")):
        refusal = await bot.refused(method, chat_id=GROUP, from_chat_id=ada, message_id=9)
        assert refusal == f"Bad Request: message to {verb} not found"


async def test_what_people_write_carries_entities(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    text = "/start see https://a.example/x. or a@b.example #now @olga_desk"
    await control.post(f"customers/{ada}/send", text=text)
    message = (await bot.updates())[0]["message"]
    found = {e["type"]: text[e["offset"] : e["offset"] + e["length"]] for e in message["entities"]}
    assert found == {
        "bot_command": "/start",
        "url": "https://a.example/x",
        "email": "a@b.example",
        "hashtag": "#now",
        "mention": "@olga_desk",
    }


async def test_protection_and_link_previews_show_in_the_message(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    options = {"is_disabled": True}
    sent = await bot.call(
        "sendMessage", chat_id=ada, text="x", protect_content=True, link_preview_options=options
    )
    assert sent["has_protected_content"] is True
    assert sent["link_preview_options"] == options
    refusal = await bot.refused(
        "forwardMessage", chat_id=GROUP, from_chat_id=ada, message_id=sent["message_id"]
    )
    assert refusal == "Bad Request: message can't be forwarded"


async def test_a_persons_text_with_a_link_says_of_which_link_the_preview_is(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer(start=False)
    said = await control.post(
        f"customers/{ada}/send", text="💐 see florist.example, or a.example/b"
    )
    target = {"message_id": said["message_id"]}
    for text in ("never mind", "see https://florist.example/roses"):
        await control.post(f"customers/{ada}/edit", **target, text=text)
    await control.post(f"customers/{ada}/photo", caption="see florist.example")
    told = [one.get("message") or one["edited_message"] for one in await bot.updates()]
    assert [message.get("link_preview_options") for message in told] == [
        {"url": "http://florist.example/"},
        None,
        {"url": "https://florist.example/roses"},
        None,
    ]
