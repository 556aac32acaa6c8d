"""Edits and replies cross between customers and operators, through a simulated Telegram."""

from __future__ import annotations

from desk.domain import Role
from desk.flow import roster
from desk.flow.desk import Desk
from desk.texts import say
from simulator import people
from simulator.app import Simulator
from simulator.people import existing
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, OMAR, Decider, Json, Running, World, eventually
from tests.bot.test_customers import LIVE_PHOTO
from tests.bot.test_operators import card_of
from tests.bot.test_wording import saying


async def message_in(world: World, chat: int, message_id: int) -> Json:
    found: list[Json] = await world.ask("GET", f"chats/{chat}/messages")
    return next(message for message in found if message["message_id"] == message_id)


async def test_an_operators_edit_reaches_the_customer_with_its_formatting(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    wrote = await world.write_topic(card["message_thread_id"], "they come on Monday")
    copy = (await world.said(ann, "they come on Monday"))[0]
    body = {"message_id": wrote["message_id"], "text": "they come on https://florist.example"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    changed = (await world.said(ann, "they come on https"))[0]
    assert changed["message_id"] == copy["message_id"]
    (edit,) = await world.calls("editMessageText", ann)
    assert edit["params"]["entities"] == [{"type": "url", "offset": 13, "length": 23}]
    assert edit["params"]["link_preview_options"] == {"url": "https://florist.example/"}


async def test_a_text_with_a_link_that_is_made_a_note_is_taken_back(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    wrote = await world.write_topic(card["message_thread_id"], "see https://intern.example/4711")
    (copy,) = await world.said(ann, "intern")
    body = {"message_id": wrote["message_id"], "text": "// see https://intern.example/4711"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    (call,) = await eventually(lambda: world.calls("deleteMessage", ann))
    assert call["params"]["message_id"] == copy["message_id"]


async def test_an_operators_edit_of_a_caption_reaches_the_customer(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    body = {"thread": card["message_thread_id"], "caption": "your boquet"}
    sent = await world.ask("POST", f"operators/{OLGA}/photo", body)
    copy = (await world.said(ann, "your boquet"))[0]
    body = {"message_id": sent["message_id"], "text": "your bouquet"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    changed = (await world.said(ann, "your bouquet"))[0]
    assert changed["message_id"] == copy["message_id"]
    await world.ask("POST", f"operators/{OLGA}/edit", {**body, "text": ""})

    async def without_caption() -> bool:
        return "caption" not in await message_in(world, ann, copy["message_id"])

    await eventually(without_caption)


async def test_a_notice_is_sent_though_what_it_replies_to_is_gone(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    thread = (await card_of(world, decider, ann, "outrageous"))["message_thread_id"]
    refused = "Bad Request: message to be replied not found"
    await world.fault("error", method="copyMessage", status=400, description="Bad Request: no")
    await world.fault("error", method="sendMessage", status=400, description=refused)
    await world.write_topic(thread, "they come on Monday")
    notice = (await world.said(OPERATORS_CHAT, "could not be delivered"))[0]
    assert notice["message_thread_id"] == thread


async def test_an_edit_of_a_live_photos_caption_is_passed_on_and_one_of_a_poll_is_told(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    telegram = simulator.world
    group = telegram.groups[OPERATORS_CHAT]
    topic, olga = group.topics[card["message_thread_id"]], telegram.users[OLGA]
    photo = people.write(telegram, group, olga, topic=topic, extra={**LIVE_PHOTO, "caption": "10"})
    await eventually(lambda: world.calls("copyMessage", ann))
    photo.extra["caption"] = "100"
    telegram.changed(photo)
    (edit,) = await eventually(lambda: world.calls("editMessageCaption", ann))
    assert edit["params"]["caption"] == "100"
    poll = people.write(telegram, group, olga, topic=topic, extra=saying("poll", "pink or red?"))

    async def both() -> bool:
        return len(await world.calls("copyMessage", ann)) == 2

    await eventually(both)
    poll.extra |= saying("poll", "pink or blue?")
    telegram.changed(poll)
    await world.said(OPERATORS_CHAT, say("change-of-kind", "en"))


async def test_a_mistyped_command_that_an_edit_mends_is_to_be_written_anew(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    topic = card["message_thread_id"]
    for thread, text, mended in ((topic, "/resolv", "/resolve"), (None, "/quee", "/queue")):
        wrote = await world.write_topic(thread, text)
        body = {"message_id": wrote["message_id"], "text": mended}
        await world.ask("POST", f"operators/{OLGA}/edit", body)
        told = await world.reply(wrote, say("command-by-edit", "en"))
        assert told["thread_id"] == thread
    # A note is none, however it is written.
    wrote = await world.write_topic(topic, "/note she calls")
    body = {"message_id": wrote["message_id"], "text": "/note she called"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    await world.write_topic(None, "/help")
    await world.said(OPERATORS_CHAT, "/retrain")
    assert len(await world.said(OPERATORS_CHAT, say("command-by-edit", "en"))) == 2


STICKER = {"sticker": {"file_id": "x", "file_unique_id": "y", "type": "regular", "width": 1}}
STICKER["sticker"] |= {"height": 1, "is_animated": False, "is_video": False}


async def test_of_an_edit_that_nobody_made_operators_are_told_nothing(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    thread = (await card_of(world, decider, ann, "outrageous"))["message_thread_id"]
    telegram = simulator.world
    group, olga = telegram.groups[OPERATORS_CHAT], telegram.users[OLGA]
    wrote = [await world.write_topic(thread, text) for text in ("/take", "// ask Omar")]
    wrote.append(await world.write_topic(None, "/queue"))
    body = {"text": "he says yes", "thread": thread, "reply_to": wrote[1]["message_id"]}
    wrote.append(await world.ask("POST", f"operators/{OLGA}/send", body))
    sticker = people.write(telegram, group, olga, topic=group.topics[thread], extra=STICKER)
    await eventually(lambda: world.calls("copyMessage", ann))
    await world.said(OPERATORS_CHAT, "Kept here")
    for message in [*(group.live(sent["message_id"]) for sent in wrote), sticker]:
        assert message is not None
        telegram.changed(message)  # as Telegram does at a reaction
    await world.write_topic(None, "/help")
    await world.said(OPERATORS_CHAT, "/retrain")
    everything = [message["text"] for message in await world.said(OPERATORS_CHAT)]
    names = ("command-by-edit", "change-of-nothing-sent", "change-of-kind")
    assert not {say(name, "en") for name in names} & {*everything}
    # Of the next, which changes something, they are.
    body = {"message_id": wrote[3]["message_id"], "text": "he says no"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    await world.said(OPERATORS_CHAT, say("change-of-nothing-sent", "en"))


async def test_an_edit_of_human_that_nobody_made_calls_nobody_again(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    wrote = await world.write(ann, "/human")
    thread = (await world.said(OPERATORS_CHAT, "Needs a person"))[-1]["message_thread_id"]
    await world.write_topic(thread, "hello, I am Olga")
    await world.said(ann, "Olga")
    await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "Resolved")
    telegram = simulator.world
    message = existing(telegram.private_chat(telegram.bots[0], telegram.users[ann]), 1)
    assert message.text == wrote["text"]
    telegram.changed(message)  # as Telegram does at a reaction
    asked = await world.write(ann, "/help")
    await world.reply(asked)
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1
    # A text that becomes the command is a call.
    body = {"message_id": (await world.write(ann, "/help"))["message_id"], "text": "/human"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await world.said(OPERATORS_CHAT, "Needs a person", count=2)


async def test_a_command_that_a_customer_makes_a_question_is_answered(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    wrote = await world.write(ann, "/help")
    await world.said(ann, "/human")
    body = {"message_id": wrote["message_id"], "text": "when do you open?"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await decider.decide(("opening_hours", 0.99))
    await world.said(ann, "Monday")


async def test_a_customers_edit_is_shown_to_who_is_awaited(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    wrote = await world.write(ann, "outrageous")
    await decider.decide(("complaint", 0.8))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    body = {"message_id": wrote["message_id"], "text": "outrageous, order 4711"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await decider.decide(("complaint", 0.8))
    post = (await world.said(OPERATORS_CHAT, "Ann changed a message"))[0]
    assert "outrageous, order 4711" in post["text"]
    assert post["message_thread_id"] == card["message_thread_id"]


async def test_a_customers_edit_after_the_bot_asked_back_is_answered(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    wrote = await world.write(ann, "flowers")
    await decider.decide(("order_status", 0.4))
    await world.said(ann, "mean")
    body = {"message_id": wrote["message_id"], "text": "when do you open?"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await decider.decide(("opening_hours", 0.99))
    await world.said(ann, "Monday")


async def test_an_edit_into_the_command_for_a_person_calls_one(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    wrote = await world.write(ann, "when do you open?")
    await decider.decide(("opening_hours", 0.99))
    await world.said(ann, "Monday")
    body = {"message_id": wrote["message_id"], "text": "/human"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await world.said(OPERATORS_CHAT, "Needs a person")


OMAR_IS = {"is_bot": False, "first_name": "Omar"}


async def test_a_reply_to_a_card_is_a_reply_to_the_customers_message(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    first = await world.write(ann, "outrageous")
    await decider.decide(("complaint", 0.8))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    thread = card["message_thread_id"]
    body = {"text": "about this one:", "thread": thread, "reply_to": card["message_id"]}
    own = await world.ask("POST", f"operators/{OLGA}/send", body)
    reply = (await world.said(ann, "about this one"))[0]
    assert reply["reply_to_message"]["message_id"] == first["message_id"]
    # And a reply to a colleague's words is one to their copy.
    body = {"text": "as I said", "thread": thread, "reply_to": own["message_id"]}
    await world.ask("POST", f"operators/{OLGA}/send", body)
    second = (await world.said(ann, "as I said"))[0]
    assert second["reply_to_message"]["message_id"] == reply["message_id"]


async def test_a_caption_that_is_too_long_for_a_reply_is_sent_without_it(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    refused = "Bad Request: message caption is too long"
    await world.fault("error", method="copyMessage", status=400, description=refused)
    body = {
        "thread": card["message_thread_id"],
        "caption": "so long",
        "reply_to": card["message_id"],
    }
    await world.ask("POST", f"operators/{OLGA}/photo", body)
    (copy,) = await world.said(ann, "so long")
    assert "reply_to_message" not in copy


async def test_a_reply_to_what_the_customer_has_deleted_is_sent_without_it(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    (first,) = await world.ask("GET", f"chats/{ann}/messages", contains="outrageous")
    await world.ask("POST", f"customers/{ann}/delete", {"message_id": first["message_id"]})
    body = {"thread": card["message_thread_id"], "reply_to": card["message_id"]}
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "about this one:", **body})
    assert "reply_to_message" not in (await world.said(ann, "about this one"))[0]
    (copy,) = await world.calls("copyMessage", ann)
    assert copy["params"]["reply_parameters"]["message_id"] == first["message_id"]


async def test_a_reply_to_a_part_of_a_message_is_one_to_that_part(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "it is outrageous & late, @omar")
    topic = card["message_thread_id"]
    telegram = simulator.world
    group, olga = telegram.groups[OPERATORS_CHAT], telegram.users[OLGA]

    async def reply(text: str, to: int, part: str, position: int = 0, **more: object) -> Json:
        quote = {"text": part, "position": position, "is_manual": True, **more}
        place = group.topics[topic]
        extra = {"quote": quote}
        people.write(telegram, group, olga, text=text, topic=place, reply_to=to, extra=extra)
        return (await world.said(ann, text))[0]

    # The customer's words on a card, wherever they stand there.
    assert (await reply("how late?", card["message_id"], "& late"))["quote"]["text"] == "& late"
    who = await reply("who?", card["message_id"], "late, @\N{WORD JOINER}omar")
    assert who["quote"]["text"] == "late, @omar"
    # What stands on the card and is not theirs is no part of their message.
    whole = await reply("let me see", card["message_id"], "Needs a person")
    assert "quote" not in whole
    assert whole["reply_to_message"]["text"] == "it is outrageous & late, @omar"
    # Their files, and what colleagues wrote, are the same in both chats.
    body = {"caption": "red or pink"}
    await world.ask("POST", f"customers/{ann}/photo", body)
    await eventually(lambda: world.calls("copyMessage", OPERATORS_CHAT))
    photo = next(number for number, m in group.messages.items() if m.text == "red or pink")
    assert (await reply("this one?", photo, "pink", 7))["quote"]["text"] == "pink"
    last = (await world.calls("copyMessage", ann))[-1]["params"]["reply_parameters"]
    assert (last["quote"], last["quote_position"]) == ("pink", 7)
    own = await world.write_topic(topic, "pink it is")
    await world.said(ann, "pink it is")
    bold = [{"type": "bold", "offset": 0, "length": 4}]
    await reply("I mean red", own["message_id"], "pink", entities=bold)
    last = (await world.calls("copyMessage", ann))[-1]["params"]["reply_parameters"]
    assert (last["quote"], last["quote_position"], last["quote_entities"]) == ("pink", 0, bold)
    assert all(call["ok"] for call in await world.calls("copyMessage", ann)), "none tried in vain"


async def test_a_reply_to_a_part_that_the_customer_has_changed_is_one_to_the_whole(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous, order 4711")
    telegram = simulator.world
    (chat,) = [chat for chat in telegram.privates.values() if chat.id == ann]
    first = next(m for m in chat.messages.values() if "4711" in m.text)
    first.text = "outrageous, order 4712"
    group = telegram.groups[OPERATORS_CHAT]
    quote = {"text": "order 4711", "position": 0, "is_manual": True}
    people.write(
        telegram,
        group,
        telegram.users[OLGA],
        text="about this one:",
        topic=group.topics[card["message_thread_id"]],
        reply_to=card["message_id"],
        extra={"quote": quote},
    )
    reply = (await world.said(ann, "about this one"))[0]
    assert reply["reply_to_message"]["message_id"] == first.message_id
    assert "quote" not in reply


async def test_what_replies_to_a_note_or_a_notice_stays_in_the_topic_with_a_word_how_to_send_it(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    thread = card["message_thread_id"]
    note = await world.write_topic(thread, "// she wants money back, can we?")
    notice = (await world.said(OPERATORS_CHAT, say("noted", "en")))[0]
    for number, answered in enumerate((note, notice), 1):
        body = {"thread": thread, "reply_to": answered["message_id"]}
        said = body | {"text": "yes but only half, she is a serial returner"}
        await world.ask("POST", f"operators/{OLGA}/send", said)
        file = body | {"caption": "her file"}
        await world.ask("POST", f"operators/{OLGA}/photo", file)
        kept = await world.said(OPERATORS_CHAT, say("kept-reply", "en"), count=2 * number)
        assert kept[-1]["message_thread_id"] == thread
    # In a topic Telegram has it that every message replies to the topic's first one.
    await world.write_topic(thread, "hello again")
    assert "reply_to_message" not in (await world.said(ann, "hello again"))[0]
    assert len(await world.calls("copyMessage", ann)) == 1


async def test_what_begins_with_a_colleagues_name_stays_in_the_topic(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    telegram = simulator.world
    group, olga = telegram.groups[OPERATORS_CHAT], telegram.users[OLGA]
    place = group.topics[card["message_thread_id"]]
    await world.write_topic(card["message_thread_id"], "@omar is she right?")
    await world.said(OPERATORS_CHAT, say("kept-addressed", "en"))
    # Who has no username is named by a mark.
    marks = [{"type": "text_mention", "offset": 0, "length": 4, "user": {"id": 5, **OMAR_IS}}]
    people.write(telegram, group, olga, text="Omar is she?", topic=place, extra={"entities": marks})
    await world.said(OPERATORS_CHAT, say("kept-addressed", "en"), count=2)
    await world.write_topic(card["message_thread_id"], "Write to @omar, please.")
    await world.said(ann, "Write to @omar")
    assert len(await world.calls("copyMessage", ann)) == 1


async def test_what_names_a_colleague_or_is_forwarded_from_the_bot_stays_in_the_topic(
    bot: Running, world: World, decider: Decider, simulator: Simulator, desk: Desk
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    topic, telegram = card["message_thread_id"], simulator.world
    group, olga = telegram.groups[OPERATORS_CHAT], telegram.users[OLGA]
    roster.add_operator(desk, OMAR, Role.AGENT)
    roster.keep_name(desk, OMAR, "Omar", "omar_desk")
    await world.write_topic(topic, "hi Ann, @omar_desk here")
    await world.said(OPERATORS_CHAT, say("kept-named", "en"))
    (me,) = (user for user in telegram.users.values() if user.is_bot)
    sender = {"id": me.id, "is_bot": True, "first_name": "Frontdesk"}
    origin = {"type": "user", "date": 1_700_000_000, "sender_user": sender}
    text, place = "Needs a person · Ben", group.topics[topic]
    extra = {"forward_origin": origin}
    people.write(telegram, group, olga, text=text, topic=place, extra=extra)
    await world.said(OPERATORS_CHAT, say("kept-forwarded", "en"))
    origin["sender_user"] = {"id": 4711, "is_bot": False, "first_name": "Ben"}
    text = "as the courier says"
    people.write(telegram, group, olga, text=text, topic=place, extra=extra)
    await world.said(ann, text)
    assert len(await world.calls("copyMessage", ann)) == 1


async def test_a_reply_to_a_message_that_the_customer_deleted_is_sent_all_the_same(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    first = await world.write(ann, "outrageous")
    await decider.decide(("complaint", 0.8))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    (chat,) = [chat for chat in simulator.world.privates.values() if chat.id == ann]
    simulator.world.delete(existing(chat, first["message_id"]))
    body = {"text": "about this one:", "thread": card["message_thread_id"]}
    await world.ask("POST", f"operators/{OLGA}/send", body | {"reply_to": card["message_id"]})
    assert "reply_to_message" not in (await world.said(ann, "about this one"))[0]


async def test_what_a_customer_replies_to_stands_below_their_words(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    await world.write(ann, "where is my order?")
    await decider.decide(("order_status", 0.99))
    answer = (await world.said(ann, "Bouquets"))[0]
    body = {"text": "not <b>true</b>!", "reply_to": answer["message_id"]}
    await world.ask("POST", f"customers/{ann}/send", body)
    await decider.decide(("complaint", 0.8))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert "not <b>true</b>!\n↩️ Bouquets take 2 days" in card["text"]
    # Once the operators have it, as a plain post, too.
    await world.write_topic(card["message_thread_id"], "Is it pink?")
    asked = (await world.said(ann, "Is it pink?"))[0]
    body = {"text": "yes", "reply_to": asked["message_id"]}
    await world.ask("POST", f"customers/{ann}/send", body)
    await decider.decide(("greeting", 0.2))
    assert "yes\n↩️ Is it pink?" in (await world.said(OPERATORS_CHAT, "yes"))[-1]["text"]
