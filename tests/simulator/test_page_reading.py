"""Reading the page: by screen reader and keyboard, right to left, small, and over several days."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import Page, expect

from simulator.app import Simulator

from .conftest import GROUP, Bot, Control, show_alert


async def test_a_screen_reader_is_told_who_wrote_and_what_is_chosen_and_unread(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    ben = await control.customer("Ben")
    await expect(page.locator("#people .person")).to_have_count(2)
    await bot.call("sendMessage", chat_id=ada, text="Hello")
    await bot.call("sendMessage", chat_id=ben, text="Hello")
    await expect(page.locator(".phone .out .bubble")).to_contain_text("You: /start")
    await expect(page.locator(".phone .in .bubble")).to_contain_text("Frontdesk: Hello")
    people = page.locator("#people")
    await expect(people.get_by_role("button", name="Ada", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    await expect(people.get_by_role("button", name="Ben unread")).to_be_visible()
    thread = (await bot.call("createForumTopic", chat_id=GROUP, name="Ada"))["message_thread_id"]
    await bot.call("sendMessage", chat_id=GROUP, message_thread_id=thread, text="word " * 100)
    row = page.locator(".topic", has_text="word")
    name = await row.inner_text()
    assert len(name) < 120
    await expect(row).to_contain_text("unread")
    # Roles that promise arrow keys would need them.
    for role in ("listbox", "option", "radiogroup", "radio", "menu", "menuitem", "toolbar"):
        await expect(page.locator(f"[role={role}]")).to_have_count(0)


async def test_an_alert_keeps_the_keyboard_and_closes_with_escape(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await show_alert(page, bot, ada, "Thought so")
    alert = page.get_by_role("alertdialog")
    await expect(alert.get_by_role("button", name="OK")).to_be_focused()
    phone, box = await page.locator(".phone").bounding_box(), await alert.bounding_box()
    assert phone is not None
    assert box is not None
    middle = phone["x"] + phone["width"] / 2
    assert abs(box["x"] + box["width"] / 2 - middle) < 2, "it stands on the phone"
    for _ in range(3):
        await page.keyboard.press("Tab")
        # At its end the focus goes to the browser's own buttons, which is the body to the page.
        inside = "document.activeElement.matches('body, dialog *')"
        assert await page.evaluate(inside)
    await page.keyboard.press("Escape")
    await expect(alert).to_have_count(0)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_small_print_stands_out_from_what_is_behind_it(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    colours: dict[str, str] = await page.evaluate(
        """() => Object.fromEntries(["muted", "faint", "panel", "panel-2", "page", "wall", "in",
            "mine", "accent-soft"].map((name) =>
            [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)]))"""
    )
    for ink in (colours.pop("muted"), colours.pop("faint")):
        for name, behind in colours.items():
            low, high = sorted((luminance(ink), luminance(behind)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {name}"


async def test_text_from_right_to_left_is_shown_so(page: Page, bot: Bot, control: Control) -> None:
    dana = await control.customer("דנה")
    await control.post(f"customers/{dana}/send", text="איפה ההזמנה שלי?")
    asked = await bot.call("sendMessage", chat_id=dana, text="Which order?")
    said = "שלום 4711"
    await control.post(f"customers/{dana}/send", text=said, reply_to=asked["message_id"])
    direction = "(node) => getComputedStyle(node).direction"
    await expect(page.locator(".phone .out .text")).to_have_count(3)
    own = page.locator(".phone .out")
    assert await own.nth(0).locator(".text").evaluate(direction) == "ltr"
    assert await own.nth(1).locator(".text").evaluate(direction) == "rtl"
    assert await own.nth(2).locator(".text").evaluate(direction) == "rtl"
    assert await own.nth(2).locator(".quote span").evaluate(direction) == "ltr"
    assert await page.locator("#people .on > span").last.evaluate(direction) == "rtl"
    await page.locator("#phone-input").fill("שלום")
    assert await page.locator("#phone-input").evaluate(direction) == "rtl"
    await bot.call("createForumTopic", chat_id=GROUP, name="דנה")
    name = page.locator(".topic b > span", has_text="דנה")
    assert await name.evaluate(direction) == "rtl"
    await own.nth(2).hover()
    await own.nth(2).get_by_role("button", name="Edit").click()
    assert await page.locator("#dialog textarea").evaluate(direction) == "rtl"


async def test_names_that_begin_with_an_emoji_and_counts_of_one(
    page: Page, bot: Bot, control: Control
) -> None:
    await control.customer("🌸 Mia", last_name="Wu")
    await bot.call("createForumTopic", chat_id=GROUP, name="🌸 Mia")
    await expect(page.locator("#people .avatar")).to_have_text("🌸W")
    await expect(page.locator("#group-head small")).to_have_text("2 operators, 1 topic")


async def test_a_chat_of_several_days_says_where_each_begins(
    page: Page, bot: Bot, control: Control, simulator: Simulator
) -> None:
    now = time.time()
    simulator.world.clock = lambda: now - 40 * 86_400
    ada = await control.customer("Ada")
    simulator.world.clock = time.time
    await bot.call("sendMessage", chat_id=ada, text="Good morning")
    await bot.call("sendMessage", chat_id=ada, text="How are you?")
    days = page.locator(".phone .day")
    await expect(days).to_have_count(2)
    await expect(days.first).to_contain_text(time.strftime("%Y", time.localtime(now - 40 * 86_400)))
    await expect(days.last).to_have_text("Today")
    order = await page.locator("#phone-thread > *").evaluate_all(
        "(nodes) => nodes.map((node) => node.className.split(' ')[0])"
    )
    assert order == ["pill", "row", "pill", "row", "row"]


async def test_on_a_phones_width_a_tapped_message_offers_what_can_be_done(
    page: Page, bot: Bot, control: Control
) -> None:
    ada = await control.customer("Ada")
    await bot.call("sendMessage", chat_id=ada, text="Which order?")
    await page.set_viewport_size({"width": 360, "height": 740})
    row = page.locator(".phone .row.in")
    await expect(row.locator(".tools")).to_have_css("opacity", "0")
    await row.locator(".text").click()
    await page.locator("#phone-head").hover()
    await expect(row.locator(".tools")).to_have_css("opacity", "1")
    await row.get_by_role("button", name="Reply").click()
    await expect(page.locator("#dialog h2")).to_have_text("Reply")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_in_a_low_window_many_customers_leave_room_for_the_messages(
    page: Page, control: Control
) -> None:
    for number in range(50):
        await control.customer(f"Customer {number}", start=False)
    await control.post("customers/1001/send", text="hello")
    await page.set_viewport_size({"width": 640, "height": 360})
    await expect(page.locator("#people .person")).to_have_count(50)
    box = await page.locator("#phone-thread").bounding_box()
    assert box is not None
    assert box["height"] > 140
    await expect(page.locator("#add-customer")).to_be_in_viewport(ratio=1)
    await page.locator("#people .person").last.click()
    await expect(page.locator("#people .on")).to_be_in_viewport(ratio=0.99)
