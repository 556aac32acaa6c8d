"""Events while somebody uses the page: they take nothing from under the user, and none is lost."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page, Route, expect

from simulator.app import Simulator

from .conftest import GROUP, OMAR, Bot, Control

COUNT_CHANGES = """() => {
    window.added = [];
    const note = (changes) => changes.forEach((one) => window.added.push(...one.addedNodes));
    for (const id of ["people", "phone-thread", "topics", "actors"]) {
        new MutationObserver(note).observe(document.getElementById(id), { childList: true });
    }
}"""


async def topic(bot: Bot, name: str) -> int:
    found = await bot.call("createForumTopic", chat_id=GROUP, name=name)
    return int(found["message_thread_id"])


async def test_a_click_counts_whatever_happens_while_the_button_is_down(
    page: Page, bot: Bot, control: Control
) -> None:
    await control.customer("Ada")
    await control.customer("Ben")
    other, pressed = await topic(bot, "Other"), await topic(bot, "Pressed")
    row = page.locator(".topic", has_text="Pressed")
    await expect(page.locator(".topic").nth(1)).to_contain_text("created the topic “Pressed”")
    await row.hover()
    await page.mouse.down()
    for thread in (other, pressed):
        await bot.call("sendMessage", chat_id=GROUP, message_thread_id=thread, text="news")
    await expect(page.locator(".topic .badge")).to_have_count(2)
    await expect(row).to_contain_text("news")
    await page.mouse.up()
    await expect(page.locator("#room-head")).to_contain_text("Pressed")
    await page.locator("#people .person", has_text="Ben").locator(".avatar").hover()
    await page.mouse.down()
    await bot.call("sendMessage", chat_id=1002, text="news")
    await expect(page.locator("#people .dot")).to_have_count(1)
    await page.mouse.up()
    await expect(page.locator("#people .on")).to_contain_text("Ben")


async def test_focus_and_selection_outlive_what_happens_elsewhere(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    thread = await topic(bot, "Ada")
    await bot.call("sendMessage", chat_id=ada, text="Select me")
    await page.locator(".phone .in .text").dblclick()
    await page.locator(".topic", has_text="Ada").focus()
    chosen = await page.evaluate("getSelection().toString()")
    assert chosen.strip() == "Select"
    await page.evaluate(COUNT_CHANGES)
    await bot.call("sendMessage", chat_id=ada, text="And another")
    await bot.call("sendMessage", chat_id=GROUP, message_thread_id=thread, text="News")
    await expect(page.locator(".topic", has_text="News")).to_be_focused()
    await expect(page.locator(".phone .in .text")).to_have_count(2)
    assert await page.evaluate("getSelection().toString()") == chosen
    assert await page.evaluate("added.length") == 1, "only the new message is a new node"
    await expect(page.locator(".row.new")).to_have_count(0)
    await expect(page.get_by_role("log")).to_have_count(2)


async def test_the_focus_stays_on_a_button_of_a_message_that_changes(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await bot.call("sendMessage", chat_id=ada, text="Good?")
    like = page.locator(".phone .row.in").get_by_role("button", name="React with thumbs up")
    await like.press("Enter")
    await expect(page.locator(".phone .reaction.mine")).to_be_visible()
    await expect(like).to_be_focused()


async def test_a_message_that_comes_while_the_page_reconnects_is_not_lost(
    page: Page, bot: Bot, control: Control, simulator: Simulator
) -> None:
    ada = await control.customer("Ada")
    await bot.call("sendMessage", chat_id=ada, text="before")
    await expect(page.locator(".phone .in .text")).to_have_text("before")
    fetched, written = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        fetched.set()
        await written.wait()
        await route.fulfill(response=answer)

    await page.route("**/sim/state", late)
    simulator.world.bus.close()
    simulator.world.bus.closing = False
    await asyncio.wait_for(fetched.wait(), 15)
    await bot.call("sendMessage", chat_id=ada, text="meanwhile")
    # What is to be shown was told to the page before the answer that does not have it yet.
    await asyncio.sleep(0.5)
    async with page.expect_response("**/sim/state"):
        written.set()
    await bot.call("sendMessage", chat_id=ada, text="after")
    await expect(page.locator(".phone .in .text")).to_have_text(["before", "meanwhile", "after"])


async def keyboard(bot: Bot, chat: int, buttons: int) -> None:
    """A message with so many buttons."""
    row = [{"text": f"B{number}", "callback_data": str(number)} for number in range(buttons)]
    await bot.call(
        "sendMessage", chat_id=chat, text="Choose", reply_markup={"inline_keyboard": [row]}
    )


async def test_presses_without_an_answer_hold_up_nothing(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await keyboard(bot, ada, 7)
    for number in range(7):
        await page.locator(".phone .key", has_text=f"B{number}").click()
    await expect(page.locator(".phone .key.busy")).to_have_count(7)
    await page.locator("#phone-input").fill("still here")
    await page.locator("#phone-input").press("Enter")
    await expect(page.locator(".phone .out .text").last).to_have_text("still here", timeout=4000)


async def test_a_pressed_button_waits_for_its_own_answer(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await keyboard(bot, ada, 2)
    await page.locator(".phone .key", has_text="B0").click()
    (first,) = [u["callback_query"] for u in await bot.updates(timeout=5) if "callback_query" in u]
    await page.locator(".phone .key", has_text="B1").click()
    busy = page.locator(".phone .key.busy")
    await expect(busy).to_have_count(2)
    await bot.call("answerCallbackQuery", callback_query_id=first["id"])
    await expect(busy).to_have_count(1)
    await expect(busy).to_have_text("B1")


async def test_that_the_bot_did_not_answer_a_press_is_told_after_15_seconds(
    page: Page, bot: Bot, control: Control
) -> None:
    await page.clock.install()
    ada = await control.customer("Ada")
    await keyboard(bot, ada, 1)
    await page.locator(".phone .key").click()
    await expect(page.locator(".phone .key.busy")).to_be_visible()
    await page.clock.run_for(14_000)
    await expect(page.locator(".phone .key.busy")).to_be_visible()
    await page.clock.run_for(2_000)
    await expect(page.locator("#phone-toasts")).to_have_text("The bot did not answer.")
    await expect(page.locator(".phone .key.busy")).to_have_count(0)


async def test_only_what_is_in_sight_counts_as_read(page: Page, bot: Bot, control: Control) -> None:
    await control.customer("Ada")
    await expect(page.get_by_role("button", name="Ada")).to_be_visible()
    badge = page.locator("#desk-unread")
    await page.set_viewport_size({"width": 900, "height": 900})
    await control.post(f"operators/{OMAR}/send", text="anybody there?")
    await expect(badge).to_have_text("1 unread")
    await page.locator(".tabs").get_by_text("Operators").click()
    await expect(page.locator(".room .text")).to_have_text("anybody there?")
    await expect(badge).to_be_hidden()
    # As narrow as a phone, the list of topics is seen first, and the room once a topic is opened.
    await page.set_viewport_size({"width": 390, "height": 844})
    await control.post(f"operators/{OMAR}/send", text="hello?")
    await expect(badge).to_have_text("1 unread")
    await page.locator(".topic", has_text="General").click()
    await expect(badge).to_be_hidden()
