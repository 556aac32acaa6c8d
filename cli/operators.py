"""`frontdesk operators`: who may act for the desk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from cli import compose
from cli.errors import wrong_name
from cli.screen import JsonOption, notices, print_json, results, shown
from desk.domain import Role

if TYPE_CHECKING:
    from desk.flow.desk import Desk

operators = typer.Typer(no_args_is_help=True, help="List, add and remove operators.")


def _user_id(text: str) -> int:
    # Groups have negative ids, and Telegram promises 52 bits.
    if not re.fullmatch(r"\d{1,16}", text, re.ASCII) or not 1 <= int(text) <= 2**52:
        raise typer.BadParameter(f"{text!r} is no user's id; write a whole number such as 9003.")
    return int(text)


UserId = Annotated[
    int,
    typer.Argument(
        parser=_user_id,
        metavar="USER_ID",
        help="Telegram user id, as the bot tells it to a stranger.",
    ),
]


@operators.command("list", epilog="Example: frontdesk operators list --json")
def list_(json_: JsonOption = False) -> None:
    """Who may act for the desk."""
    from desk.flow.roster import list_operators

    rows = [
        {
            "user_id": operator.user_id,
            "name": operator.name,
            "role": str(operator.role),
            "from_chat": operator.from_chat,
        }
        for operator in list_operators(_open_desk())
    ]
    if json_:
        print_json(rows)
        return
    if not rows:
        notices().print("No operators yet. Run: frontdesk operators add ID --name NAME")
    for row in rows:
        note = " (administrator of the operators' chat)" if row["from_chat"] else ""
        line = f"{row['user_id']:>12}  {row['role']:<6} {row['name']}{note}"
        results().print(shown(line), markup=False)


@operators.command(epilog="Example: frontdesk operators add 9003 --name Ada --role admin")
def add(
    user_id: UserId,
    role: Annotated[
        Role, typer.Option(help="An admin may order training and ban customers.")
    ] = Role.AGENT,
    name: Annotated[str, typer.Option(help="How colleagues and notes call them.")] = "",
) -> None:
    """Add an operator, or change their role."""
    from desk.flow.roster import add_operator

    add_operator(_open_desk(), user_id, role, name)
    results().print(f"{user_id} is an operator now ({role}).")


@operators.command(epilog="Example: frontdesk operators remove 9003")
def remove(user_id: UserId) -> None:
    """Take an operator's rights away."""
    import logging

    import structlog

    from desk.flow.roster import remove_operator

    # What giving back logs must not get between the lines of a result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    desk = _open_desk()
    with wrong_name():
        given_back = remove_operator(desk, user_id)
    results().print(f"{user_id} is no operator any more.")
    if given_back.conversations:
        results().print(
            f"Conversations that are given back: {given_back.conversations}; customers who wait in "
            f"them for any colleague: {given_back.waiting}."
        )
    notices().print(
        "Whoever is an administrator of the operators' group is an admin again within ten minutes: "
        "take that away in Telegram, too."
    )


def _open_desk() -> Desk:
    desk = compose.open_desk(compose.load_settings())
    compose.tell_simulators(desk.store)
    return desk
