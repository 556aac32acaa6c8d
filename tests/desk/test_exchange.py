"""Importing into a pack: what is added, what is left out and said, and what stays untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from desk import pack as packs
from desk.exchange import files, merge, packfile
from desk.exchange.material import Answer, ExchangeError, Labelled, Material
from desk.pack import PackError
from desk.validation import check_pack

RETAIL = Path("packs/retail")


def row(text: str, intent: str | None = "hours", sentiment: str | None = None) -> Labelled:
    return Labelled("source:1", text, intent, sentiment)


def answer(name: str, text: str, makes_intent: bool = False) -> Answer:
    return Answer("domain.yml:5", name, text, makes_intent)


def canned(name: str, text: str) -> Answer:
    return Answer("canned.csv:2", name, text, makes_reply=True)


def said(plan: merge.Plan) -> str:
    return "\n".join(f"{notice.where}: {notice.message}" for notice in plan.notices)


def test_a_new_pack_can_be_loaded_and_has_what_came(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    material = Material(
        examples=[row("open?", "ask-hours"), row("meh", None, "negative"), row("1+1", "oos")],
        answers=[answer("ask-hours", "We are at {shop}, {customer}.")],
        values={"shop": "Fern", "unused": "x"},
        language="de-AT",
    )
    plan = merge.plan(folder, material)
    assert not folder.exists()
    plan.write('{"text": "open?"}\n', "")
    pack = packs.load(folder)
    assert pack.languages == ("de",)
    assert list(pack.intents) == ["ask_hours", "out_of_scope"]
    assert pack.intents["ask_hours"].answer == {"de": "We are at {shop}, {customer}."}
    assert pack.intents["ask_hours"].title == {"de": "Ask hours"}
    assert pack.values == {"shop": "Fern"}
    assert [(e.text, e.intent, e.sentiment) for e in plan.added] == [
        ("open?", "ask_hours", None),
        ("meh", None, "negative"),
        ("1+1", "out_of_scope", None),
    ]
    assert (folder / "examples.jsonl").read_text() == '{"text": "open?"}\n'
    about = {f.message.split(":")[0] for f in check_pack(folder).findings if f.file == "pack.yml"}
    assert about == {"hours", "intents.ask_hours", "intents.out_of_scope"}


def test_an_intent_without_an_answer_goes_to_a_person(tmp_path: Path) -> None:
    plan = merge.plan(tmp_path / "mine", Material(examples=[row("open?")]))
    assert plan.unanswered == ("hours",)
    plan.write("", "")
    assert packs.load(tmp_path / "mine").intents["hours"].escalate == "always"


def test_a_new_pack_greets_as_a_bot_and_its_menu_has_the_first_topics_that_it_answers(
    tmp_path: Path,
) -> None:
    talk = ["hello", "thank_you", "bye"]
    names = [*talk, *(f"topic_{number}" for number in range(9))]
    material = Material(
        examples=[row(name, name) for name in (*names, "unanswered")],
        answers=[answer(name, "Well!") for name in names],
    )
    merge.plan(tmp_path / "mine", material).write("", "")
    pack = packs.load(tmp_path / "mine")
    assert "I'm a bot" in pack.greeting["en"]
    assert pack.menu == tuple(names[3:9])
    assert pack.small_talk() == set(talk)
    closing = {name for name, intent in pack.intents.items() if intent.closing}
    assert closing == {"thank_you", "bye"}  # operators are not reminded to reply to these
    text = (tmp_path / "mine" / "pack.yml").read_text()
    head, hours, rest = text.partition("\n# hours:")
    used = head + f"{hours}{rest}".replace("\n# ", "\n")
    (tmp_path / "mine" / "pack.yml").write_text(used)
    assert packs.load(tmp_path / "mine").hours.weekly["mon"] == ("09:00-17:00",)


def test_that_an_intent_of_the_pack_has_no_answer_yet_is_told(pack_folder: Path) -> None:
    plan = merge.plan(pack_folder, Material(answers=[answer("complaint", "Sorry!")]))
    assert "complaint is in pack.yml and stays as it is, without an answer" in said(plan)


def test_a_declared_intent_of_rasa_is_made_by_its_response_and_another_is_not(
    tmp_path: Path,
) -> None:
    material = Material(
        examples=[row("open?")],
        answers=[answer("Refund!", "Soon.", makes_intent=True), answer("default", "Pardon?")],
    )
    plan = merge.plan(tmp_path / "mine", material)
    assert plan.intents == ("hours", "refund", "out_of_scope")
    assert plan.answers == {"read": 2, "added": 1, "present": 0, "left_out": 1}
    assert "domain.yml:5: the answer 'default' is not imported: no intent" in said(plan)


def test_a_canned_answer_without_an_intent_of_its_name_becomes_a_reply(tmp_path: Path) -> None:
    material = Material(
        examples=[row("open?")],
        answers=[
            canned("hours", "Nine to six."),
            canned("Order-number?", "Which one, {customer}?"),
        ],
    )
    plan = merge.plan(tmp_path / "mine", material)
    assert plan.intents == ("hours", "out_of_scope")
    assert plan.replies == ("order_number",)
    assert plan.answers == {"read": 2, "added": 2, "present": 0, "left_out": 0}
    plan.write("", "")
    pack = packs.load(tmp_path / "mine")
    assert pack.intents["hours"].answer == {"en": "Nine to six."}
    reply = pack.replies["order_number"]
    assert (reply.title, reply.text) == ({"en": "Order number?"}, {"en": "Which one, {customer}?"})


def test_of_canned_answers_alone_each_is_an_intent_since_a_pack_needs_some(tmp_path: Path) -> None:
    answers = [canned("refund", "Soon."), canned("oos", "Pardon?")]
    plan = merge.plan(tmp_path / "mine", Material([row("1+1", "oos")], answers))
    assert (plan.intents, plan.replies) == (("out_of_scope", "refund"), ())
    plan.write("", "")
    intents = packs.load(tmp_path / "mine").intents
    assert [intents[name].answer for name in plan.intents] == [{"en": "Pardon?"}, {"en": "Soon."}]


def test_a_canned_answer_to_what_is_out_of_scope_is_that_intents_own(tmp_path: Path) -> None:
    material = Material([row("open?")], [canned("out of scope", "Pardon?"), canned("a", "b")])
    plan = merge.plan(tmp_path / "mine", material)
    assert (plan.intents, plan.replies) == (("hours", "out_of_scope"), ("a",))
    plan.write("", "")
    pack = packs.load(tmp_path / "mine")
    assert pack.intents["out_of_scope"].answer == {"en": "Pardon?"}


def test_replies_come_into_a_pack_once_and_what_is_there_stays(pack_folder: Path) -> None:
    before = (pack_folder / "pack.yml").read_text()
    first = Material(answers=[canned("photo", "A photo?"), canned("complaint", "Oh dear.")])
    plan = merge.plan(pack_folder, first)
    assert (plan.intents, plan.replies) == ((), ("photo",))
    assert "complaint is in pack.yml and stays as it is" in said(plan)
    plan.write("", "")
    once = (pack_folder / "pack.yml").read_text()
    block = "\nreplies:\n  photo:\n    title:\n      en: Photo\n    text:\n      en: A photo?\n"
    assert once.replace(block, "") == before
    assert once.index(block) < once.index("\n\npolicy:")
    assert [error for error in check_pack(pack_folder).findings if error.severity == "error"] == []
    again = merge.plan(pack_folder, first)
    assert again.empty
    assert again.answers["present"] == 1
    second = Material(answers=[canned("photo", "Another?"), canned("number", "Which?")])
    plan = merge.plan(pack_folder, second)
    assert "photo is in pack.yml and stays as it is" in said(plan)
    plan.write("", "")
    replies = packs.load(pack_folder).replies
    assert {name: reply.text["en"] for name, reply in replies.items()} == {
        "photo": "A photo?",
        "number": "Which?",
    }


def test_a_reply_whose_title_another_has_is_left_out_and_said(pack_folder: Path) -> None:
    answers = [canned("opening hours", "Nine"), canned("say-hello", "Hi"), canned("a", "b")]
    material = Material([row("gift?", "ask_gift")], [*answers, canned("ask__gift", "No")])
    plan = merge.plan(pack_folder, material)
    assert plan.replies == ("a",)
    assert "opening_hours is in pack.yml and stays as it is" in said(plan)
    assert "greeting has the title 'Say hello' already; rename one of the two" in said(plan)
    assert "ask_gift has the title 'Ask gift' already" in said(plan)
    assert plan.answers["left_out"] == 3


def test_examples_of_what_is_a_reply_are_told_before_anything_is_written(
    pack_folder: Path,
) -> None:
    merge.plan(pack_folder, Material(answers=[canned("photo", "A photo?")])).write("", "")
    with pytest.raises(ExchangeError, match=r"source:1: photo is a reply in the pack"):
        merge.plan(pack_folder, Material([row("my photo", "photo")]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("by {agent}", "nothing is known to fill in {agent}"),
        ("by {{agent.name}}", "nothing is known to fill in {{agent.name}}"),
        ("x" * 3501, "3501 characters"),
        ("", "it is empty"),
        ('<a href="{customer}">x</a>', "can't stand inside a tag"),
    ],
)
def test_an_answer_that_a_pack_would_refuse_is_left_out_and_said(
    tmp_path: Path, text: str, why: str
) -> None:
    plan = merge.plan(tmp_path / "p", Material([row("open?")], [answer("hours", text)]))
    assert why in said(plan)
    assert plan.unanswered == ("hours",)


def test_texts_that_the_pack_has_are_not_added_again(pack_folder: Path) -> None:
    present = [Labelled("examples.jsonl:1", "Are you open?", "opening_hours", "neutral")]
    material = Material(
        examples=[
            row("are you  OPEN?", "opening_hours"),
            row("are you open?", "refund"),
            row("are you open?", "opening_hours", "negative"),
            row("a new one", "refund"),
            row("A new one!", "refund"),
            row("in the test", "refund"),
            row("thanks :)", "greeting"),
            row("x" * 4097, "refund"),
        ]
    )
    held_out = [
        Labelled("test.jsonl:1", "In the test?", "refund"),
        Labelled("test.jsonl:2", "thanks :(", "complaint"),
    ]
    plan = merge.plan(pack_folder, material, present, held_out)
    assert [e.text for e in plan.added] == ["a new one", "thanks :)"]
    assert plan.examples == {
        "read": 8,
        "added": 2,
        "completed": 0,
        "present": 2,
        "conflicts": 2,
        "in_test": 1,
        "too_long": 1,
    }
    assert "is refund here and opening_hours in examples.jsonl:1" in said(plan)
    assert "is negative here and neutral in examples.jsonl:1" in said(plan)
    assert "4097 characters" in said(plan)
    assert plan.pack_yml is None


def test_a_test_is_renamed_like_the_examples_and_kept_apart_from_them(pack_folder: Path) -> None:
    path = pack_folder / "test.jsonl"
    present = [Labelled("examples.jsonl:1", "Are you open?", "opening_hours")]
    held_out = [Labelled("test.jsonl:1", "money back", "refund")]
    material = Material(
        examples=[row("can you wrap it", "gift wrap"), row("let me in", "opening_hours")],
        tests=[
            Labelled("t:1", "open on sunday", "Opening Hours"),
            Labelled("t:2", "wrap this, please", "gift wrap"),
            Labelled("t:3", "1+1", "oos"),
            Labelled("t:4", "lovely", None, "positive"),
            Labelled("t:5", "Let me in!", "opening hours"),
            Labelled("t:6", "are you open", "opening hours"),
            Labelled("t:7", "Money back", "refund"),
            Labelled("t:8", "Money back", "opening hours"),
            Labelled("t:9", "who are you", "bot id"),
            Labelled("t:10", "are you a robot", "bot id"),
            Labelled("t:11", "x" * 4097, "refund"),
            Labelled("t:12", "i like it", "refund", measures=False),
        ],
    )
    plan = merge.plan(pack_folder, material, present, held_out)
    assert [(e.text, e.intent) for e in plan.tests] == [
        ("open on sunday", "opening_hours"),
        ("wrap this, please", "gift_wrap"),
        ("1+1", "out_of_scope"),
        ("lovely", None),
    ]
    assert plan.test == {
        "read": 12,
        "added": 4,
        "completed": 0,
        "present": 1,
        "conflicts": 1,
        "in_examples": 2,
        "too_long": 1,
        "unknown": 2,
        "measure_nothing": 1,
    }
    assert 't:12: rows that measure no model (1 with "measures": false) are not' in said(plan)
    assert plan.intents == ("gift_wrap",)
    assert "t:9: no intent is called 'bot id', so its rows (2) are not imported" in said(plan)
    assert "t:8: 'Money back' is opening_hours here and refund in test.jsonl:1" in said(plan)
    before = path.read_text()
    plan.write("", "more\n")
    assert path.read_text() == before + "more\n"


def test_what_the_pack_has_without_the_mark_that_it_measures_nothing_is_told(
    pack_folder: Path,
) -> None:
    present = [
        Labelled("examples.jsonl:1", "i like it", "refund", private=True),
        Labelled("examples.jsonl:2", "an author's", "refund"),
        Labelled("examples.jsonl:3", "marked", "refund", private=True, measures=False),
    ]
    rows = [
        Labelled(f"e:{n}", text, "refund", None, private=True, measures=False)
        for n, text in enumerate(["I like it", "an author's", "marked", "new"])
    ]
    plan = merge.plan(pack_folder, Material(examples=rows), present)
    assert (plan.examples["present"], plan.examples["added"]) == (3, 1)
    [notice] = plan.notices
    assert notice.where == "examples.jsonl:1"
    assert 'lack the "measures": false that they have here' in notice.message


def test_a_row_of_two_measures_if_both_do_and_is_private_if_one_is(pack_folder: Path) -> None:
    rows = [
        Labelled("e:1", "i like it", None, "positive"),
        Labelled("e:2", "i like it", "refund", private=True, measures=False),
    ]
    [row] = merge.plan(pack_folder, Material(examples=rows)).added
    assert (row.intent, row.private, row.measures) == ("refund", True, False)


def test_rows_of_a_test_whose_label_is_a_replys_name_are_told_the_way_out(
    pack_folder: Path,
) -> None:
    merge.plan(pack_folder, Material(answers=[canned("photo", "A photo?")])).write("", "")
    tests = [Labelled("t:1", "my photo", "Photo"), Labelled("t:2", "my bill", "bill")]
    plan = merge.plan(pack_folder, Material(answers=[canned("bill", "The bill?")], tests=tests))
    assert (plan.replies, plan.test["unknown"]) == (("bill",), 2)
    assert (
        "t:1: no intent is called 'Photo', but a reply is (photo), so its rows (1) are not"
        in said(plan)
    )
    assert (
        "t:2: no intent is called 'bill', but a reply is (bill), so its rows (1) are not"
        in said(plan)
    )
    assert said(plan).count("rename it, or make it an intent in pack.yml by hand") == 2


def test_a_test_alone_makes_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="hold no intent"):
        merge.plan(tmp_path / "mine", Material(tests=[row("open?")]))


def test_what_rows_of_one_import_say_of_a_text_comes_together_in_one_row(tmp_path: Path) -> None:
    material = Material(
        examples=[
            Labelled("intents.csv:2", "are you open?", "hours"),
            Labelled("intents.csv:3", "money back", "refund"),
            Labelled("sentiments.csv:2", "Are you open?", None, "neutral"),
            Labelled("sentiments.csv:3", "lovely", None, "positive"),
            Labelled("more.csv:2", "lovely!", "praise", "positive"),
            Labelled("more.csv:3", "are you open?", "hours", "negative"),
        ]
    )
    plan = merge.plan(tmp_path / "new", material)
    assert plan.added == (
        Labelled("intents.csv:2", "are you open?", "hours", "neutral"),
        Labelled("intents.csv:3", "money back", "refund"),
        Labelled("sentiments.csv:3", "lovely", "praise", "positive"),
    )
    assert "praise" in plan.intents
    counts = ("added", "completed", "present", "conflicts")
    assert [plan.examples[name] for name in counts] == [3, 2, 0, 1]
    assert "is negative here and neutral in sentiments.csv:2" in said(plan)


def test_a_label_that_a_row_of_the_pack_lacks_is_told_and_not_written(pack_folder: Path) -> None:
    present = [
        Labelled("examples.jsonl:1", "are you open?", "opening_hours"),
        Labelled("examples.jsonl:2", "lovely", None, "positive"),
        Labelled("examples.jsonl:3", "money back", "refund"),
        Labelled("examples.jsonl:4", "money back", None, "neutral"),
    ]
    material = Material(
        examples=[
            row("Are you open?", None, "neutral"),
            row("lovely", "greeting", "positive"),
            row("money back", None, "neutral"),
        ]
    )
    plan = merge.plan(pack_folder, material, present)
    assert plan.empty
    assert plan.examples["present"] == 3
    assert [notice.message.split("; ")[0] for notice in plan.notices] == [
        "'Are you open?' is neutral here, and examples.jsonl:1 has no sentiment",
        "'lovely' is greeting here, and examples.jsonl:2 has no intent",
    ]


def test_an_intent_of_the_pack_stays_as_it_is(pack_folder: Path) -> None:
    before = (pack_folder / "pack.yml").read_bytes()
    there = packs.load(pack_folder).intents["refund"].answer
    assert there is not None
    answers = [
        answer("refund", there["en"]),
        answer("opening_hours", "Never."),
        answer("complaint", "Oh dear."),
        answer("out_of_scope", "Pardon?"),
    ]
    plan = merge.plan(pack_folder, Material(answers=answers))
    assert plan.answers == {"read": 4, "added": 0, "present": 1, "left_out": 3}
    assert "opening_hours is in pack.yml and stays as it is" in said(plan)
    assert plan.empty
    plan.write("", "")
    assert (pack_folder / "pack.yml").read_bytes() == before


def test_the_packs_own_name_for_out_of_scope_is_used(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    text = path.read_text().replace("out_of_scope:", "oos:").replace("policy:\n", "policy:\n  X\n")
    path.write_text(text.replace("  X\n", "  out_of_scope: oos\n"))
    plan = merge.plan(pack_folder, Material([row("1+1", "oos"), row("2+2", "out_of_scope")]))
    assert [e.intent for e in plan.added] == ["oos", "oos"]
    assert plan.intents == ()


def test_values_are_filled_in_where_the_pack_exists(pack_folder: Path) -> None:
    material = Material(
        [row("gift?", "gift")],
        [answer("gift", "{shop} wraps it for {price}, {customer}.")],
        values={"price": "£3", "shop": "Elsewhere"},
    )
    merge.plan(pack_folder, material).write("", "")
    gift = packs.load(pack_folder).intents["gift"]
    assert gift.answer == {"en": "{shop} wraps it for £3, {customer}."}


def test_all_labels_that_would_become_one_intent_are_told_at_once(tmp_path: Path) -> None:
    labels = ("re-fund", "a-b", "a b", "re/fund", "a-b", "a b")
    material = Material([row(f"text {n}", name) for n, name in enumerate(labels)])
    with pytest.raises(ExchangeError) as failed:
        merge.plan(tmp_path / "mine", material)
    assert str(failed.value).splitlines() == [
        "source:1: the intents 'a-b' and 'a b' would both be called a_b; rename one",
        "source:1: the intents 're-fund' and 're/fund' would both be called re_fund; rename one",
    ]


def test_new_intents_that_look_like_others_are_told_before_all_else(pack_folder: Path) -> None:
    present = [Labelled(f"examples.jsonl:{n}", f"money back {n}", "refund") for n in range(9)]
    examples = [row("x" * 4097, "refund"), row("money!", "refnd"), row("1+1", "oos")]
    plan = merge.plan(pack_folder, Material(examples), present)
    assert plan.notices[0].message == "intent refnd (1 example) looks like refund; is it mistyped?"
    assert plan.notices[0].where == "source:1"
    assert len(plan.notices) == 2


def test_sources_without_an_intent_make_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="hold no intent"):
        merge.plan(tmp_path / "mine", Material([row("meh", None, "negative"), row("1+1", "oos")]))


def test_a_folder_of_other_things_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(ExchangeError, match="no pack\\.yml, so it is no pack, but it is not empty"):
        merge.is_new(tmp_path)
    with pytest.raises(ExchangeError, match="not empty"):
        merge.is_new(tmp_path / "thesis.doc")


def test_an_empty_folder_becomes_a_pack(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    merge.plan(folder, Material([row("open?")])).write("", "")
    assert {path.name for path in folder.iterdir()} == {"pack.yml", "examples.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


def test_the_language_of_a_pack_is_its_own(pack_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="speaks 'en' first"):
        merge.plan(pack_folder, Material([row("x")]), language="zh")
    assert merge.plan(tmp_path / "a", Material([row("x")]), language="zh").language == "zh"
    assert merge.plan(tmp_path / "a", Material([row("x")], language="?")).language == "en"
    with pytest.raises(PackError, match="two or three small letters"):
        merge.plan(tmp_path / "a", Material([row("x")]), language="english")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("folder", [RETAIL, Path("tests/packs/florist")])
def test_new_intents_leave_every_line_of_pack_yml_as_it_was(folder: Path, newline: str) -> None:
    text = (folder / "pack.yml").read_text().replace("\n", newline)
    new = {"gift": {"title": {"en": "Gift"}, "answer": {"en": "Yes.\nWe wrap it."}}}
    changed = packfile.add(Path("pack.yml"), text, "intents", new)
    lines, old = changed.split(newline), text.split(newline)
    start = lines.index("  gift:")
    count = len(lines) - len(old)
    assert lines[:start] + lines[start + count :] == old
    assert lines[start - 1].strip()  # before what is said of the next key
    assert "\n" not in changed.replace(newline, "")
    pack = packfile.check(Path("pack.yml"), changed)
    assert list(pack.intents)[-1] == "gift"
    assert pack.intents["gift"].answer == {"en": "Yes.\nWe wrap it."}


HEAD = "name: a\ntitle: a\nlanguages: [en]\ngreeting: {en: hi}\nmenu: []\n"
TAIL = (
    "      en: |\n        A\n        # not a comment\n\n# of the policy\npolicy: {threshold: 0.5}\n"
)
ONE = "title: {en: A}, escalate: always"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}intents:\n  out_of_scope: {{{ONE}}}\n  a: {{{ONE}}}",
        f"{HEAD}intents:\n  a: {{{ONE}}}\n  out_of_scope:\n    title:\n{TAIL}",
        f"intents:\n    a: {{{ONE}}}\n    out_of_scope: {{{ONE}}} # last\n    # the end\n\n{HEAD}",
        f"---\n{HEAD}intents:\n  a: {{{ONE}}}\n  out_of_scope: {{{ONE}}}\n...\n",
    ],
)
def test_new_intents_and_replies_find_their_place_in_any_block(text: str) -> None:
    new = {"gift": {"title": {"en": "Gift"}, "escalate": "always"}}
    changed = packfile.add(Path("pack.yml"), text, "intents", new)
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert list(after["intents"]) == [*before["intents"], "gift"]
    assert {**after, "intents": before["intents"]} == before
    assert set(text.splitlines()) <= set(changed.splitlines())
    for name in ("one", "two"):
        changed = packfile.add(Path("pack.yml"), changed, "replies", {name: {}})
    assert yaml.safe_load(changed) == {**after, "replies": {"one": {}, "two": {}}}
    assert set(text.splitlines()) <= set(changed.splitlines())


@pytest.mark.parametrize("section", ["intents", "replies"])
def test_intents_in_braces_are_left_alone_and_said(section: str) -> None:
    text = f"{HEAD}intents: {{a: {{{ONE}}}, out_of_scope: {{{ONE}}}}}\n"
    with pytest.raises(ExchangeError, match=f"add {section} to .*`intents:` .* by hand: gift"):
        packfile.add(Path("pack.yml"), text, section, {"gift": {"title": {"en": "Gift"}}})


@pytest.mark.parametrize(
    ("empty", "left"),
    [("replies: {}\n", ""), ("replies: { } # none yet\r\n", "# none yet\r\n"), ("replies: {}", "")],
)
def test_empty_braces_are_as_good_as_no_replies(empty: str, left: str) -> None:
    text = f"intents:\n  a: {{{ONE}}}\n  out_of_scope: {{{ONE}}}\n{HEAD}"
    wanted = packfile.add(Path("pack.yml"), text + left, "replies", {"gift": {}})
    assert packfile.add(Path("pack.yml"), text + empty, "replies", {"gift": {}}) == wanted
    assert yaml.safe_load(wanted)["replies"] == {"gift": {}}


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@example("\n")
@example("ends so\n\n")
@example("a\u2028b\x85c\r\nd\n")
@example("# a\n  b: c\n\n - d")
@example("\ufeff\x7f\ufffe🌿 'x' \"y\"\t")
@example("long " * 60 + "\n" + "line " * 60)
def test_any_answer_comes_back_from_a_written_pack(text: str) -> None:
    intents: dict[str, Any] = {"a": {"answer": {"en": text}}, "b": {"title": {"en": "B"}}}
    made = yaml.safe_load(packfile.new_pack("p", "en", ["a"], intents, {}, intents))
    assert made["intents"] == made["replies"] == intents
    before = f"{HEAD}intents:\n  x: {{}}\nsla: {{}}\n"
    changed = packfile.add(Path("p"), before, "intents", intents)
    assert yaml.safe_load(changed)["intents"] == {"x": {}, **intents}
    changed = packfile.add(Path("p"), before, "replies", intents)
    assert yaml.safe_load(changed) == {**yaml.safe_load(before), "replies": intents}


def test_a_last_line_without_an_end_is_ended(pack_folder: Path) -> None:
    path = pack_folder / "examples.jsonl"
    path.write_text("{}")
    merge.plan(pack_folder, Material([row("gift?", "refund")])).write('{"text": "gift?"}\n', "")
    assert path.read_text() == '{}\n{"text": "gift?"}\n'


@pytest.mark.parametrize("name", ["mine", "florist"])
def test_a_full_disk_leaves_everything_as_it_was(
    pack_folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    plan = merge.plan(tmp_path / name, Material([row("gift?", "gift")]))

    def full(path: Path, content: bytes) -> None:
        if "examples.jsonl" in path.name:
            path.write_bytes(content[:3])
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(ExchangeError, match="No space"):
        plan.write('{"text": "gift?"}\n', "")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_that_was_replaced_is_put_back_when_the_next_fails(tmp_path: Path) -> None:
    first, new, second = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_text("before")
    first.chmod(0o640)
    (second / "full").mkdir(parents=True)
    with pytest.raises(ExchangeError, match=r"/c: .*directory"):
        files.write_files({first: "after", new: "new", second: "x"})
    assert first.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c"}
    files.write_files({first: "after"})
    assert first.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    files.write_files({tmp_path / "link": "after"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_an_empty_folder_that_becomes_a_pack_stays_the_one_that_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o700)
    (folder / ".examples.jsonl.partial").write_text("of an import that was killed")
    before = folder.stat()
    merge.plan(folder, Material([row("open?")])).write('{"text": "open?"}\n', "")
    after = folder.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert {path.name for path in folder.iterdir()} == {"pack.yml", "examples.jsonl"}


def test_a_pack_without_examples_has_a_file_for_them_wherever_it_is_made(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, tmp_path / "new"):
        material = Material(answers=[answer("gift", "We wrap it.", makes_intent=True)])
        merge.plan(folder, material).write("", "")
        assert (folder / "examples.jsonl").read_text() == ""


def test_a_byte_order_mark_of_the_pack_stays(pack_folder: Path) -> None:
    mark = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
    for name in ("pack.yml", "examples.jsonl"):
        path = pack_folder / name
        path.write_bytes(mark + (path.read_bytes() if path.exists() else b""))
    rows = (pack_folder / "examples.jsonl").read_bytes()
    merge.plan(pack_folder, Material([row("gift?", "gift")])).write('{"text": "gift?"}\n', "")
    assert (pack_folder / "pack.yml").read_bytes().startswith(mark + b"# A made-up")
    assert (pack_folder / "examples.jsonl").read_bytes().startswith(rows)
    assert packs.load(pack_folder).intents["gift"]


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for place in (loop, loop / "mine"):
        with pytest.raises(ExchangeError, match="levels of symbolic links; name a pack's folder"):
            merge.is_new(place)
        with pytest.raises(ExchangeError, match=r"could not be written .*levels of symbolic"):
            files.write_files({place: "x"})
    assert loop.is_symlink()


def test_what_a_killed_import_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".mine.partial").mkdir()
    (tmp_path / ".mine.partial" / "pack.yml").write_text("half")
    files.write_folder(tmp_path / "mine", {"a": "b"})
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "a"]
