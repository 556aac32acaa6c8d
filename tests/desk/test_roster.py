"""Who is an operator: added, changed, removed, or an administrator of the chat."""

from __future__ import annotations

from typing import Any

import pytest

from desk.domain import (
    ANONYMOUS_ADMIN,
    DeskError,
    Role,
)
from desk.flow import roster
from tests.desk.acting import OLGA, OSCAR, Stage, role_of


def test_operators_are_added_changed_and_removed(stage: Stage) -> None:
    roster.add_operator(stage.desk, 42, Role.AGENT, "Uma")
    assert role_of(stage.desk, 42) is Role.AGENT
    roster.add_operator(stage.desk, 42, Role.ADMIN)
    assert role_of(stage.desk, 42) is Role.ADMIN
    names = {row.user_id: row.name for row in roster.list_operators(stage.desk)}
    assert names[42] == "Uma"
    roster.remove_operator(stage.desk, 42)
    assert role_of(stage.desk, 42) is None
    with pytest.raises(DeskError, match="42 is no operator"):
        roster.remove_operator(stage.desk, 42)


def test_the_chats_admins_become_admins_and_lose_it_with_their_rights(stage: Stage) -> None:
    roster.sync_admins(stage.desk, [(1, "Root"), (2, "Two"), (OSCAR, "Oscar Again")])
    assert role_of(stage.desk, 1) is Role.ADMIN
    with pytest.raises(DeskError, match="would be back within minutes"):
        roster.remove_operator(stage.desk, 1)
    assert role_of(stage.desk, 1) is Role.ADMIN
    roster.sync_admins(stage.desk, [(1, "Root")])
    assert role_of(stage.desk, 2) is None
    assert role_of(stage.desk, OSCAR) is Role.AGENT, "the desk was told, not the chat"


@pytest.mark.parametrize("removed", [False, True])
def test_a_name_that_the_desk_is_told_meanwhile_stays_and_so_does_a_removal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    roster.add_operator(stage.desk, 42, Role.AGENT)
    writing = stage.desk.store.writing

    def late() -> Any:
        monkeypatch.setattr(stage.desk.store, "writing", writing)
        if removed:
            roster.remove_operator(stage.desk, 42)
        else:
            roster.add_operator(stage.desk, 42, Role.AGENT, "Uma")
        return writing()

    monkeypatch.setattr(stage.desk.store, "writing", late)
    roster.keep_name(stage.desk, 42, "U.")
    names = {row.user_id: row.name for row in roster.list_operators(stage.desk)}
    assert names.get(42) == (None if removed else "Uma")


def test_an_operator_is_known_by_the_name_that_they_have_now(stage: Stage) -> None:
    for username in ("olga_desk", "olga_shop", None):
        roster.keep_name(stage.desk, OLGA, "Somebody Else", username)
        known = {row.user_id: (row.name, row.username) for row in roster.list_operators(stage.desk)}
        assert known[OLGA] == ("Olga", username)


@pytest.mark.parametrize(
    ("user_id", "whom"),
    [
        (ANONYMOUS_ADMIN, "every administrator who writes anonymously"),
        (136_817_688, "everybody who writes in the name of a channel"),
        (777_000, "Telegram itself"),
    ],
)
def test_an_id_that_several_people_write_under_is_nobody_to_add(
    stage: Stage, user_id: int, whom: str
) -> None:
    with pytest.raises(DeskError, match=f"{user_id} stands for {whom}.*add the id of their own"):
        roster.add_operator(stage.desk, user_id, Role.AGENT)
    assert user_id not in [operator.user_id for operator in roster.list_operators(stage.desk)]
