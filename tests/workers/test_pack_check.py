"""A run trains on the pack that the desk runs with, and on no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from classifier.data import DataError
from desk import pack as packs
from desk.domain import DeskError
from desk.pack import Pack, PackError
from workers.pack_check import check_pack
from workers.recipe import recipe_of


def edit(file: Path, old: str, new: str) -> None:
    words = file.read_text("utf-8")
    assert old in words
    file.write_text(words.replace(old, new), "utf-8")


def test_a_pack_whose_intents_have_changed_since_the_start_is_told_with_what_to_do(
    pack: Pack, pack_folder: Path
) -> None:
    edit(pack_folder / "pack.yml", "opening_hours", "hours")
    with pytest.raises(DeskError) as refused:
        check_pack(pack, pack_folder)
    assert str(refused.value) == (
        f"Restart Frontdesk, then train again (/retrain): the intents of {pack_folder} have "
        "changed since it started (added: hours; gone: opening_hours)"
    )


def test_other_answers_to_the_same_intents_keep_nobody_from_training(
    pack: Pack, pack_folder: Path
) -> None:
    check_pack(pack, pack_folder)
    edit(pack_folder / "pack.yml", "nine to six", "ten to six")
    check_pack(pack, pack_folder)


def test_other_replies_change_neither_what_is_learned_nor_how(
    pack: Pack, pack_folder: Path
) -> None:
    reply = "replies:\n  photo: {title: {en: Photo}, text: {en: Send one.}}\n\npolicy:\n"
    edit(pack_folder / "pack.yml", "policy:\n", reply)
    check_pack(pack, pack_folder)
    now = packs.load(pack_folder)
    assert now.replies
    assert recipe_of(now) == recipe_of(pack)


@pytest.mark.parametrize("name", ["examples.jsonl", "test.jsonl"])
def test_texts_of_intents_that_the_pack_lacks_are_told_with_their_places(
    pack: Pack, pack_folder: Path, name: str
) -> None:
    file = pack_folder / name
    rows = file.read_text("utf-8").splitlines()
    added = ["gifts", "gifts", "b", "c", "d", "e", "f"]
    rows += [f'{{"text": "a bouquet {i}", "intent": "{name}"}}' for i, name in enumerate(added)]
    file.write_text("\n".join(rows), "utf-8")
    with pytest.raises(DataError) as refused:
        check_pack(pack, pack_folder)
    first = len(rows) - len(added) + 1
    assert f": gifts ({file}:{first}), b ({file}:{first + 2}), c (" in str(refused.value)
    assert str(refused.value).endswith(", …")
    assert "pack.yml lacks: add them there or label the texts anew" in str(refused.value)


@pytest.mark.parametrize("name", ["examples.jsonl", "test.jsonl"])
def test_texts_with_the_other_name_of_out_of_scope_are_told_with_the_one_of_the_pack(
    pack: Pack, pack_folder: Path, name: str
) -> None:
    file = pack_folder / name
    with file.open("a", encoding="utf-8") as rows:
        rows.write('{"text": "what is a sonnet?", "intent": "oos"}\n')
    last = len(file.read_text("utf-8").splitlines())
    says = rf"label them out_of_scope, then .* \(/retrain\): oos \(.*{name}:{last}\)"
    with pytest.raises(DataError, match=says):
        check_pack(pack, pack_folder)


def test_a_pack_may_call_out_of_scope_oos_where_its_texts_do(pack_folder: Path) -> None:
    for file in ("pack.yml", "examples.jsonl", "test.jsonl"):
        edit(pack_folder / file, "out_of_scope", "oos")
    edit(pack_folder / "pack.yml", "policy:", "policy:\n  out_of_scope: oos")
    check_pack(packs.load(pack_folder), pack_folder)


def test_a_pack_that_an_edit_broke_is_told_with_the_line(pack: Pack, pack_folder: Path) -> None:
    (pack_folder / "pack.yml").write_text("intents: [", "utf-8")
    with pytest.raises(PackError, match=r"not valid YAML.*\(line 1\)"):
        check_pack(pack, pack_folder)
