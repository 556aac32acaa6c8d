"""`frontdesk report`: what the desk did lately, and what the model got wrong."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import load_settings, open_desk
from cli.screen import JsonOption, percent, print_json, results, shown

if TYPE_CHECKING:
    from desk.flow.reporting import OfIntent, OfModel, Report

SHOWN = 10
"""Intents, and errors, on the screen; --json has them all."""
WIDTH = 60


def report(
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="Of so many days, up to this moment.")
    ] = 7,
    json_: JsonOption = False,
) -> None:
    """What became of customers' messages, and which of them the model got wrong.

    It knows of an error where an operator or a customer said what a message was.
    """
    from desk.flow.reporting import report as look

    desk = open_desk(load_settings())
    since = desk.clock() - timedelta(days=days)
    found = look(desk, since)
    if json_:
        print_json({"since": since.isoformat(), "automated": found.automated} | asdict(found))
        return
    _print(found, f"Since {since:%Y-%m-%d %H:%M} UTC")


def _print(found: Report, title: str) -> None:
    from desk.domain import Action

    console = results()
    decided = sum(found.decisions.values())
    console.print(
        f"[bold]{title}[/]: customers {found.customers:,}, conversations "
        f"{found.conversations:,}, messages decided {decided:,}"
    )
    names = {
        Action.ANSWER: "answered by the bot",
        Action.CLARIFY: "asked back",
        Action.ESCALATE: "to a person",
    }
    for action, name in names.items() if decided else ():
        number = found.decisions[action]
        share = percent(number / found.asked) if found.asked else "–"
        console.print(f"{number:>7,} {share:>7}  {name}")
        if action is not Action.ANSWER:
            _print_rules(found.rules[action])
        elif found.small_talk:
            _print_rules({"small talk": found.small_talk})
    if silent := found.decisions[Action.SILENT]:
        console.print(f"{silent:>7,}          left to people:")
        _print_rules(found.rules[Action.SILENT])
    console.print(f"Thumbs: {found.thumbs_up:,} up, {found.thumbs_down:,} down")
    if len(found.models) > 1:
        heads = f"{'model':<24} {'decided':>8} {'answered':>8} {'👎':>5} {'wrong':>12}"
        console.print(f"[bold]{heads}[/]")
        for model in found.models:
            wrong = _wrong(model)
            line = f"{model.model:<24} {model.decided:>8,} {model.answered:>8,} "
            console.print(shown(f"{line}{model.thumbs_down:>6,} {wrong:>12}"), markup=False)
    if not found.labelled:
        return
    right = found.labelled - len(found.wrong)
    console.print(
        f"People labelled {found.labelled:,}, mostly what the model was unsure of; it had "
        f"{right:,} of these right"
    )
    _print_intents(found)
    if found.wrong:
        console.print("\n[bold]Wrong, the newest first[/]")
    for each in found.wrong[:SHOWN]:
        sure = percent(each.confidence)
        text = each.text or "(erased)"
        text = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
        line = f"{each.at:%m-%d %H:%M}  {text}  {each.predicted} ({sure}) → {each.intent}"
        console.print(shown(line), markup=False)


def _wrong(each: OfIntent | OfModel) -> str:
    return f"{each.wrong:,} of {each.labelled:,}" if each.labelled else "–"


def _print_rules(rules: dict[str, int]) -> None:
    for rule, number in rules.items():
        results().print(shown(f"{number:>15,}  {rule}"), markup=False)


def _print_intents(found: Report) -> None:
    console = results()
    console.print(f"\n[bold]{'predicted':<30} {'times':>6} {'answered':>8} {'wrong':>12}[/]")
    for each in found.intents[:SHOWN]:
        wrong = _wrong(each)
        line = f"{each.intent:<30} {each.predicted:>6,} {each.answered:>8,} {wrong:>12}"
        console.print(shown(line), markup=False)
