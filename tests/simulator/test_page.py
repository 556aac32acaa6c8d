"""The page in a real browser: a customer writes, a scripted bot answers, an operator sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from .conftest import GROUP, Bot, Control, show_alert


async def scripted_bot(bot: Bot) -> None:
    """Answers a text with a keyboard; a press is answered, edits, and opens a topic."""
    offset = 0
    while True:
        for update in await bot.updates(offset=offset, timeout=20):
            offset = update["update_id"] + 1
            if "callback_query" in update:
                await on_press(bot, update["callback_query"])
            elif update.get("message", {}).get("text", "/").startswith("/"):
                continue
            elif update["message"]["chat"]["id"] > 0:
                await on_text(bot, update["message"])


async def on_text(bot: Bot, message: dict[str, Any]) -> None:
    row = [{"text": "Call a person", "callback_data": "person"}]
    text = "I understood: <b>" + message["text"].replace("<", "&lt;") + "</b>"
    markup = {"inline_keyboard": [row]}
    chat = message["chat"]["id"]
    await bot.call("sendMessage", chat_id=chat, text=text, parse_mode="HTML", reply_markup=markup)


async def on_press(bot: Bot, query: dict[str, Any]) -> None:
    message, name = query["message"], query["from"]["first_name"]
    await bot.call("answerCallbackQuery", callback_query_id=query["id"], text="Somebody comes")
    target = {"chat_id": message["chat"]["id"], "message_id": message["message_id"]}
    await bot.call("editMessageText", **target, text="A person was called.")
    topic = await bot.call("createForumTopic", chat_id=GROUP, name=name)
    thread = topic["message_thread_id"]
    await bot.call("sendMessage", chat_id=GROUP, message_thread_id=thread, text=f"{name} waits")


async def test_a_conversation_from_hello_to_the_operators(
    page: Page, bot: Bot, control: Control
) -> None:
    phone, desk = page.locator(".phone"), page.locator(".desk")
    await expect(phone).to_contain_text("Nobody is here yet")
    await expect(desk.locator(".hint")).to_contain_text("Escalations show up here as topics")
    await phone.get_by_role("button", name="Ada").click()
    await expect(phone).to_contain_text("Say hello…")
    await page.locator("#phone-start").click()
    await expect(phone.locator(".out .text")).to_have_text("/start")

    brain = asyncio.create_task(scripted_bot(bot))
    await expect(page.locator("#status")).to_contain_text("@frontdesk_bot is connected")
    hostile = "Where is <img src=x onerror=alert(1)> my order?"
    await page.locator("#phone-input").fill(hostile)
    await page.locator("#phone-input").press("Enter")
    await expect(phone.locator(".out .text").last).to_have_text(hostile)
    await expect(phone.locator(".in .text b")).to_have_text(hostile)
    assert await phone.locator(".thread img").count() == 0

    await phone.get_by_role("button", name="Call a person").click()
    await expect(phone.locator(".toast")).to_have_text("Somebody comes")
    await expect(phone.locator(".in .text").last).to_have_text("A person was called.")
    await expect(phone.locator(".key")).to_have_count(0)

    topic = desk.locator(".topic", has_text="Ada")
    await expect(topic.locator(".badge")).to_have_text("1")
    await topic.click()
    await expect(topic.locator(".badge")).to_have_count(0)
    await expect(desk.locator(".room .text")).to_have_text("Ada waits")
    await desk.get_by_role("button", name="Omar").click()
    await page.locator("#room-input").fill("On it")
    await page.locator("#room-input").press("Enter")
    await expect(desk.locator(".room .out .text")).to_have_text("On it")
    thread = (await control.get(f"chats/{GROUP}/topics"))[0]["message_thread_id"]
    (said,) = await control.get(f"chats/{GROUP}/messages?thread={thread}&from=people")
    assert (said["from"]["first_name"], said["text"]) == ("Omar", "On it")
    brain.cancel()


async def test_what_scripts_do_shows_at_once(page: Page, bot: Bot, control: Control) -> None:
    ada = await control.customer("Ada")
    phone = page.locator(".phone")
    await expect(phone.locator(".out .text")).to_have_text("/start")
    await bot.call("sendChatAction", chat_id=ada, action="typing")
    await expect(phone.locator(".typing")).to_be_visible()
    await bot.call(
        "sendMessage",
        chat_id=ada,
        parse_mode="HTML",
        text="<b>b</b><i>i</i><u>u</u><s>s</s><code>c</code><tg-spoiler>sp</tg-spoiler>"
        "<blockquote>q</blockquote><pre>p</pre><a href='https://a.example/'>l</a>"
        "<a href='tg://user?id=9001'>m</a>",
    )
    await expect(phone.locator(".typing")).to_have_count(0)
    said = phone.locator(".in .text")
    for tag in ("b", "i", "u", "s", "code", ".spoiler", "blockquote", "pre"):
        await expect(said.locator(tag)).to_have_count(1)
    await expect(said.locator("a[href='https://a.example/']")).to_have_text("l")
    like = page.get_by_role("button", name="React with thumbs up")
    await phone.locator(".row.in").hover()
    await like.click()
    await expect(phone.locator(".reaction.mine")).to_have_count(1)
    await bot.call("deleteMessage", chat_id=ada, message_id=2)
    await expect(phone.locator(".row.in")).to_have_count(0)
    await control.post(f"customers/{ada}/photo", caption="look")
    await expect(phone.locator(".bubble img")).to_be_visible()
    await control.post(f"customers/{ada}/block")
    await expect(page.locator("#phone-start")).to_have_text("UNBLOCK")
    await control.post("reset")
    await expect(phone).to_contain_text("Nobody is here yet")


async def test_an_expandable_quotation_is_folded_until_it_is_clicked(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    lines = "\n".join(f"line {number}" for number in range(12))
    text = f"<blockquote expandable>{lines}</blockquote>"
    await bot.call("sendMessage", chat_id=ada, parse_mode="HTML", text=text)
    quotation = page.locator(".phone .in .text blockquote")
    await expect(quotation).to_contain_text("line 11")
    folded = await quotation.bounding_box()
    await quotation.click()
    await expect(quotation).not_to_have_class("folded")
    unfolded = await quotation.bounding_box()
    assert folded is not None
    assert unfolded is not None
    assert folded["height"] < unfolded["height"] / 2


async def test_the_menus_send_commands_photos_and_reply_keyboards(
    page: Page, bot: Bot, control: Control
) -> None:
    await bot.call("setMyCommands", commands=[{"command": "help", "description": "What I can do"}])
    ada = await control.customer("Ada")
    phone, menu = page.locator(".phone"), page.locator("#menu")
    await page.locator("#commands").click()
    await menu.get_by_text("What I can do").click()
    await expect(phone.locator(".out .text").last).to_have_text("/help")
    await page.locator("#attach").click()
    await menu.get_by_text("A sample photo").click()
    await expect(phone.locator(".bubble img")).to_be_visible()
    markup = {"keyboard": [["Yes", "No"]], "one_time_keyboard": True}
    await bot.call("sendMessage", chat_id=ada, text="Sure?", reply_markup=markup)
    await page.locator("#keyboard").get_by_text("Yes").click()
    await expect(phone.locator(".out .text").last).to_have_text("Yes")
    await expect(page.locator("#keyboard")).to_be_hidden()


async def test_alerts_wait_for_an_ok_and_refusals_are_shown(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await show_alert(page, bot, ada, "Thought so")
    alert = page.get_by_role("alertdialog")
    await expect(alert).to_contain_text("Thought so")
    await alert.get_by_role("button", name="OK").click()
    await expect(alert).to_have_count(0)
    topic = await bot.call("createForumTopic", chat_id=GROUP, name="Closed one")
    thread = topic["message_thread_id"]
    await bot.call("closeForumTopic", chat_id=GROUP, message_thread_id=thread)
    await page.locator(".topic", has_text="Closed one").click()
    await page.get_by_role("button", name="Omar").click()
    await page.locator("#room-input").fill("let me in")
    await page.locator("#room-input").press("Enter")
    await expect(page.locator(".toast.bad")).to_have_text("The topic is closed.")
    await expect(page.locator("#room-input")).to_have_value("let me in")


async def test_a_phones_width_shows_one_pane_at_a_time(
    page: Page, bot: Bot, control: Control
) -> None:
    await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    await page.set_viewport_size({"width": 390, "height": 844})
    await expect(page.locator(".phone")).to_be_visible()
    await expect(page.locator(".window")).to_be_hidden()
    await page.locator(".tabs").get_by_text("Operators").click()
    await expect(page.locator(".room")).to_be_hidden()
    await page.locator(".topic", has_text="Ada").click()
    await expect(page.locator(".room .chathead")).to_contain_text("Ada")
    await page.get_by_role("button", name="Back to the topics").click()
    await expect(page.locator(".topics")).to_be_visible()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width == 390, "nothing sticks out"


@pytest.mark.parametrize("width", [1440, 420])
async def test_many_customers_show_that_they_are_more_and_one_more_can_be_added(
    page: Page, control: Control, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    names = ("Ada", "Ben", "Chloe", "Dimitri", "Evangeline", "Francesca", "Giorgio", "Hannah")
    for name in (*names, *names):
        await control.customer(name)
    row = page.locator("#people")
    await expect(row.locator(".person")).to_have_count(16)
    cut = """(row) => [...row.children].some((person) => {
        const { top, bottom } = person.getBoundingClientRect();
        const end = row.getBoundingClientRect().bottom;
        return top + 9 < end && end < bottom - 9;
    })"""
    assert await row.evaluate(cut), "half a row shows that there are more"
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await expect(page.locator("#add-customer")).to_be_in_viewport(ratio=1)
    await page.locator("#add-customer").click()
    await page.get_by_role("dialog").get_by_label("First name").fill("Ivo")
    await page.get_by_role("dialog").get_by_role("button", name="Add").click()
    await expect(row.locator(".on")).to_have_text("IIvo")
    await expect(row.locator(".on")).to_be_in_viewport(ratio=1)
