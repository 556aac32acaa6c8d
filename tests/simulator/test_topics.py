"""Forum topics and the operators' group."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import GROUP, OLGA, OMAR, Bot, Control


async def new_topic(bot: Bot, name: str = "Ada") -> int:
    topic = await bot.call("createForumTopic", chat_id=GROUP, name=name)
    return int(topic["message_thread_id"])


async def test_a_topic_is_a_thread_to_write_in(bot: Bot, control: Control) -> None:
    thread = await new_topic(bot)
    assert thread > 1, "1 is the General topic"
    sent = await bot.call("sendMessage", chat_id=GROUP, text="card", message_thread_id=thread)
    assert sent["message_thread_id"] == thread
    assert sent["is_topic_message"] is True
    assert sent["chat"]["is_forum"] is True
    await control.post(f"operators/{OLGA}/send", text="mine", thread=thread)
    message = (await bot.updates())[0]["message"]
    assert message["message_thread_id"] == thread
    assert message["reply_to_message"]["forum_topic_created"]["name"] == "Ada"


async def test_a_reply_without_a_thread_stays_in_the_topic(bot: Bot) -> None:
    thread = await new_topic(bot)
    card = await bot.call("sendMessage", chat_id=GROUP, text="card", message_thread_id=thread)
    reply = {"message_id": card["message_id"]}
    sent = await bot.call("sendMessage", chat_id=GROUP, text="x", reply_parameters=reply)
    assert sent["message_thread_id"] == thread


async def test_the_general_topic_has_no_thread(bot: Bot, control: Control) -> None:
    sent = await bot.call("sendMessage", chat_id=GROUP, text="all")
    assert "message_thread_id" not in sent
    assert "is_topic_message" not in sent
    refusal = await bot.refused("sendMessage", chat_id=GROUP, text="x", message_thread_id=1)
    assert refusal == "Bad Request: message thread not found"
    await bot.call("sendChatAction", chat_id=GROUP, action="typing", message_thread_id=1)


async def test_an_unknown_or_deleted_thread_is_refused(bot: Bot, control: Control) -> None:
    thread = await new_topic(bot)
    await new_topic(bot, "another one, which stays")
    await control.post(f"operators/{OLGA}/topics/{thread}/delete")
    for number in (thread, 999):
        target: dict[str, Any] = {"chat_id": GROUP, "message_thread_id": number}
        for method, more in (
            ("sendMessage", {"text": "x"}),
            ("sendChatAction", {"action": "typing"}),
            ("editForumTopic", {"name": "x"}),
            ("closeForumTopic", {}),
            ("deleteForumTopic", {}),
        ):
            refusal = await bot.refused(method, **target, **more)
            assert refusal == "Bad Request: message thread not found", method
    ada = await control.customer()
    refusal = await bot.refused("sendMessage", chat_id=ada, text="x", message_thread_id=thread)
    assert refusal == "Bad Request: message thread not found"


async def test_deleting_a_topic_deletes_its_messages(bot: Bot, control: Control) -> None:
    thread = await new_topic(bot)
    await bot.call("sendMessage", chat_id=GROUP, text="card", message_thread_id=thread)
    await bot.call("deleteForumTopic", chat_id=GROUP, message_thread_id=thread)
    assert await control.get(f"chats/{GROUP}/messages") == []
    assert await control.get(f"chats/{GROUP}/topics") == []


async def test_a_change_that_changes_nothing_is_refused(bot: Bot) -> None:
    target = {"chat_id": GROUP, "message_thread_id": await new_topic(bot, "Ada")}
    unchanged = "Bad Request: TOPIC_NOT_MODIFIED"
    assert await bot.refused("editForumTopic", **target, name="Ada") == unchanged
    assert await bot.refused("reopenForumTopic", **target) == unchanged
    await bot.call("editForumTopic", **target, name="Bob")
    await bot.call("closeForumTopic", **target)
    assert await bot.refused("closeForumTopic", **target) == unchanged
    await bot.call("reopenForumTopic", **target)


async def test_a_closed_topic_takes_messages_only_from_those_who_manage_topics(
    bot: Bot, control: Control
) -> None:
    thread = await new_topic(bot)
    await control.post(f"operators/{OLGA}/topics/{thread}/close")
    notice = (await bot.updates())[-1]["message"]
    assert notice["forum_topic_closed"] == {}
    say = {"chat_id": GROUP, "message_thread_id": thread, "text": "x"}
    await bot.call("sendMessage", **say)
    await control.patch(f"chats/{GROUP}", bot={"rights": {"can_manage_topics": False}})
    assert await bot.refused("sendMessage", **say) == "Bad Request: TOPIC_CLOSED"
    assert (await control.refused("POST", f"operators/{OMAR}/send", text="x", thread=thread)) == (
        409,
        "The topic is closed.",
    )
    await control.post(f"operators/{OLGA}/send", text="x", thread=thread)
    await control.post(f"operators/{OLGA}/topics/{thread}/reopen")
    await bot.call("sendMessage", **say)


async def test_a_group_that_is_no_forum_has_no_topics(bot: Bot, control: Control) -> None:
    await control.patch(f"chats/{GROUP}", is_forum=False)
    refusal = await bot.refused("createForumTopic", chat_id=GROUP, name="x")
    assert refusal == "Bad Request: the chat is not a forum"
    ada = await control.customer()
    refusal = await bot.refused("createForumTopic", chat_id=ada, name="x")
    assert refusal == "Bad Request: the chat is not a forum"
    assert "is_forum" not in await bot.call("getChat", chat_id=GROUP)


async def test_a_bot_without_the_right_cannot_create_topics(bot: Bot, control: Control) -> None:
    await control.patch(f"chats/{GROUP}", bot={"rights": {"can_manage_topics": False}})
    refusal = await bot.refused("createForumTopic", chat_id=GROUP, name="x")
    assert refusal == "Bad Request: not enough rights to create a topic"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("left", "Forbidden: bot is not a member of the supergroup chat"),
        ("kicked", "Forbidden: bot was kicked from the supergroup chat"),
    ],
)
async def test_a_bot_that_is_not_in_the_group_is_refused(
    bot: Bot, control: Control, status: str, refusal: str
) -> None:
    await control.patch(f"chats/{GROUP}", bot={"status": status})
    for method, more in (
        ("sendMessage", {"text": "x"}),
        ("createForumTopic", {"name": "x"}),
        ("getChat", {}),
        ("getChatAdministrators", {}),
    ):
        assert await bot.refused(method, chat_id=GROUP, **more) == refusal
    await control.post(f"operators/{OLGA}/send", text="are you there?")
    [told] = await bot.updates()
    assert told["my_chat_member"]["new_chat_member"]["status"] == status, (
        "of its own standing alone"
    )


async def test_members_are_told_with_their_standing(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    me = (await bot.call("getMe"))["id"]

    async def status(user: int) -> str:
        member = await bot.call("getChatMember", chat_id=GROUP, user_id=user)
        return str(member["status"])

    assert [await status(user) for user in (OLGA, OMAR, me, ada)] == [
        "creator",
        "member",
        "administrator",
        "left",
    ]
    refusal = await bot.refused("getChatMember", chat_id=GROUP, user_id=31337)
    assert refusal == "Bad Request: PARTICIPANT_ID_INVALID"
    admins = await bot.call("getChatAdministrators", chat_id=GROUP)
    assert {admin["user"]["id"] for admin in admins} == {OLGA, me}
    assert await bot.call("getChatMemberCount", chat_id=GROUP) == 3


async def test_a_pinned_message_shows_in_the_chat(bot: Bot) -> None:
    sent = await bot.call("sendMessage", chat_id=GROUP, text="rules")
    await bot.call("pinChatMessage", chat_id=GROUP, message_id=sent["message_id"])
    chat = await bot.call("getChat", chat_id=GROUP)
    assert chat["pinned_message"]["text"] == "rules"
    await bot.call("unpinChatMessage", chat_id=GROUP)
    assert "pinned_message" not in await bot.call("getChat", chat_id=GROUP)


async def test_chat_actions_are_checked_and_logged(bot: Bot, control: Control) -> None:
    thread = await new_topic(bot)
    action = {"chat_id": GROUP, "action": "typing", "message_thread_id": thread}
    await bot.call("sendChatAction", **action)
    refusal = await bot.refused("sendChatAction", **(action | {"action": "dancing"}))
    assert refusal == "Bad Request: wrong parameter action in request"
    entries = await control.get("log?method=sendChatAction")
    assert [(e["params"]["action"], e["ok"]) for e in entries] == [
        ("typing", True),
        ("dancing", False),
    ]


async def test_a_bot_reacts_with_one_allowed_emoji(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    target = {"chat_id": ada, "message_id": 1}
    await bot.call("setMessageReaction", **target, reaction=[{"type": "emoji", "emoji": "❤️"}])
    shown = (await control.get(f"chats/{ada}/messages"))[0]["reactions"]
    assert shown[0]["reaction"] == [{"type": "emoji", "emoji": "❤"}]
    refusal = await bot.refused(
        "setMessageReaction", **target, reaction=[{"type": "emoji", "emoji": "🚂"}]
    )
    assert refusal == "Bad Request: REACTION_INVALID"
    refusal = await bot.refused("setMessageReaction", chat_id=ada, message_id=9, reaction=[])
    assert refusal == "Bad Request: message to react not found"


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\u2800", "\u3164"])
async def test_a_topic_whose_title_shows_nothing_is_refused(bot: Bot, name: str) -> None:
    refusal = await bot.refused("createForumTopic", chat_id=GROUP, name=name)
    assert "TOPIC_TITLE_EMPTY" in refusal


async def test_people_name_topics_in_128_characters_at_most(control: Control) -> None:
    made = await control.post(f"operators/{OLGA}/topics", name="x" * 128)
    for path in ("topics", f"topics/{made['message_thread_id']}/rename"):
        for name in ("x" * 129, " "):
            status, _ = await control.refused("POST", f"operators/{OLGA}/{path}", name=name)
            assert status == 400
    await control.post(f"operators/{OLGA}/{path}", name="Ada")
