"""Writing on the page: dialogs, drafts, menus. What was typed stays where it was typed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from playwright.async_api import Locator, Page, Request, Route, expect

from .conftest import GROUP, Bot, Control


def own(page: Page) -> Locator:
    """The last message that the chosen customer wrote."""
    return page.locator(".phone .row.out").last


async def open_edit(page: Page) -> Locator:
    """Open the dialog that edits the last message; gives its field."""
    await own(page).hover()
    await own(page).get_by_role("button", name="Edit").click()
    return page.locator("#dialog textarea")


def cut_off(allowed: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    """A connection that breaks once `allowed` is set."""

    async def handle(route: Route) -> None:
        await allowed.wait()
        await route.abort()

    return handle


def at_once() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_people_reply_to_messages_and_edit_their_own(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    phone = page.locator(".phone")
    asked = await bot.call("sendMessage", chat_id=ada, text="Which order?")
    await phone.locator(".row.in").hover()
    await phone.get_by_role("button", name="Reply").click()
    await expect(page.locator("#dialog p").first).to_have_text("Which order?")
    await page.locator("#dialog textarea").fill("4711")
    await page.locator("#dialog").get_by_role("button", name="Send").click()
    await expect(phone.locator(".out .quote")).to_contain_text("Which order?")
    said = (await control.get(f"chats/{ada}/messages?from=people"))[-1]
    assert said["reply_to_message"]["message_id"] == asked["message_id"]

    field = await open_edit(page)
    await field.fill("4712")
    await page.locator("#dialog").get_by_role("button", name="Save").click()
    await expect(phone.locator(".out .text").last).to_have_text("4712")
    await expect(phone.locator(".out .time").last).to_contain_text("edited")


async def test_a_message_of_several_lines_keeps_them_when_it_is_edited(
    page: Page, control: Control
) -> None:
    ada = await control.customer("Ada")
    await control.post(f"customers/{ada}/send", text="one\ntwo")
    await expect(own(page).locator(".text")).to_have_text("one\ntwo")
    field = await open_edit(page)
    await expect(field).to_have_value("one\ntwo")
    await field.press("End")
    await field.press("Shift+Enter")
    await field.press("3")
    await field.press("Enter")
    await expect(own(page).locator(".time")).to_contain_text("edited")
    said = (await control.get(f"chats/{ada}/messages?from=people"))[-1]
    assert said["text"] == "one\ntwo\n3"


async def test_a_caption_is_edited(page: Page, control: Control) -> None:
    ada = await control.customer("Ada")
    await control.post(f"customers/{ada}/photo", caption="my receipt")
    await expect(own(page).locator("img")).to_be_visible()
    field = await open_edit(page)
    await expect(field).to_have_value("my receipt")
    await field.fill("my invoice")
    await field.press("Enter")
    await expect(own(page).locator(".text")).to_have_text("my invoice")


async def test_an_edit_that_changes_nothing_is_not_sent(page: Page, control: Control) -> None:
    ada = await control.customer("Ada")
    await control.post(f"customers/{ada}/send", text="as it is")
    await expect(own(page).locator(".text")).to_have_text("as it is")
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(request.url)

    page.on("request", note)
    await (await open_edit(page)).press("Enter")
    await expect(page.locator("#dialog")).to_be_hidden()
    assert not any(url.endswith("/edit") for url in sent)


async def test_a_draft_stays_with_its_chat(page: Page, bot: Bot, control: Control) -> None:
    for name in ("Ada", "Ben"):
        await control.customer(name)
    await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    people, field = page.locator("#people"), page.locator("#phone-input")
    await field.fill("Ada's secret")
    await people.get_by_role("button", name="Ben").click()
    await expect(field).to_have_value("")
    await field.fill("Ben's")
    await people.get_by_role("button", name="Ada").click()
    await expect(field).to_have_value("Ada's secret")
    await page.locator("#room-input").fill("to all of us")
    await page.locator(".topic", has_text="Ada").click()
    await expect(page.locator("#room-input")).to_have_value("")
    await page.locator(".topic", has_text="General").click()
    await expect(page.locator("#room-input")).to_have_value("to all of us")
    await control.post("reset")
    await control.customer("Eve")
    await expect(people.get_by_role("button", name="Eve")).to_be_visible()
    await expect(field).to_have_value("")
    await expect(page.locator("#room-input")).to_have_value("")


async def test_what_could_not_be_sent_comes_back_only_to_an_empty_field_of_its_chat(
    page: Page, control: Control
) -> None:
    for name in ("Ada", "Ben"):
        await control.customer(name)
    people, field = page.locator("#people"), page.locator("#phone-input")
    broken = page.locator("#phone-toasts .bad")
    cut = asyncio.Event()
    await page.route("**/send", cut_off(cut))
    await field.fill("first")
    await field.press("Enter")
    await field.fill("second")
    cut.set()
    await expect(broken).to_contain_text("The simulator does not answer.")
    await expect(field).to_have_value("second")

    cut.clear()
    await field.press("Enter")
    await people.get_by_role("button", name="Ben").click()
    async with page.expect_event("requestfailed"):
        cut.set()
    await expect(field).to_have_value("")
    await people.get_by_role("button", name="Ada").click()
    await expect(field).to_have_value("second")


async def test_a_dialog_whose_act_fails_keeps_what_was_typed(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await bot.call("sendMessage", chat_id=ada, text="Which order?")
    await page.locator(".phone .row.in").hover()
    await page.locator(".phone").get_by_role("button", name="Reply").click()
    dialog = page.locator("#dialog")
    await page.route("**/send", cut_off(at_once()))
    await dialog.locator("textarea").fill("4711")
    await dialog.locator("textarea").press("Enter")
    await expect(dialog.get_by_role("alert")).to_contain_text("The simulator does not answer.")
    await expect(dialog.locator("textarea")).to_have_value("4711")
    await page.unroute("**/send")
    await dialog.locator("textarea").press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(own(page).locator(".text")).to_have_text("4711")


async def test_starting_over_without_the_simulator_is_told(page: Page, control: Control) -> None:
    await control.customer("Ada")
    await page.route("**/sim/reset", cut_off(at_once()))
    await page.locator("#reset").click()
    dialog = page.locator("#dialog")
    await dialog.get_by_role("button", name="Start over").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("The simulator does not answer.")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()


async def test_a_one_time_keyboard_is_there_again_after_starting_over(
    page: Page, bot: Bot, control: Control
) -> None:
    for _ in range(2):
        ada = await control.customer("Ada")
        markup = {"keyboard": [["Yes", "No"]], "one_time_keyboard": True}
        await bot.call("sendMessage", chat_id=ada, text="Sure?", reply_markup=markup)
        await page.locator("#keyboard").get_by_text("Yes").click()
        await expect(page.locator("#keyboard")).to_be_hidden()
        await control.post("reset")
        await expect(page.locator(".phone")).to_contain_text("Nobody is here yet")


async def test_a_menu_closes_at_a_click_elsewhere_and_with_escape(
    page: Page, control: Control
) -> None:
    for name in ("Ada", "Ben"):
        await control.customer(name)
    menu = page.locator("#menu")
    more = page.locator("#phone-head").get_by_role("button", name="More")
    await more.click()
    await expect(menu).to_be_visible()
    await page.locator("#people").get_by_role("button", name="Ben").click()
    await expect(menu).to_be_hidden()
    await expect(page.locator("#people .on")).to_have_attribute("title", "Ben (id 1002)")
    await more.click()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_hidden()
    await more.click()
    await menu.get_by_role("button", name="Send a sticker").click()
    await expect(menu).to_be_hidden()
    await expect(page.locator(".phone .sticker")).to_be_visible()
