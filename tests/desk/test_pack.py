"""Packs: what loads, and the sentence that each mistake gets."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk import pack as packs
from desk.pack import Pack, PackError, load
from desk.telegram_html import html_problems
from desk.telegram_text import plain
from simulator.errors import ApiError
from simulator.html_markup import parse_html
from tests.conftest import FLORIST

Change = Callable[[str], str]


def _error(folder: Path) -> str:
    with pytest.raises(PackError) as caught:
        load(folder)
    return str(caught.value)


SPANS = 'tue: write spans, such as ["09:00-18:00"]; leave a closed day out, or write []'


def _swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text, f"{old!r} is not in the pack"
        return text.replace(old, new, 1)

    return change


def _reply(entry: str) -> Change:
    return _swap("\npolicy:\n", f"\nreplies:\n  {entry}\n\npolicy:\n")


def test_the_florists_pack_loads(pack: Pack) -> None:
    assert pack.languages == ("en", "zh")
    assert pack.intents["complaint"].escalate is packs.Escalate.ALWAYS
    assert pack.intents["refund"].threshold == 0.9


def test_the_errors_that_answers_may_have_are_the_packs(pack: Pack, pack_folder: Path) -> None:
    assert pack.targets() == (0.05, {})
    path = pack_folder / "pack.yml"
    text = path.read_text().replace("threshold: 0.9", "target_error: 0.01")
    path.write_text(text.replace("  threshold: 0.6", "  target_error: 0.05"))
    assert load(pack_folder).targets() == (0.05, {"refund": 0.01})


def test_what_the_bot_never_answers_is_what_always_calls_a_person(pack: Pack) -> None:
    assert pack.never_answered() == ("complaint", "talk_to_person")


def test_the_packs_here_load_under_their_folders_names() -> None:
    folders = [path for path in Path("packs").iterdir() if path.is_dir()]
    assert {load(folder).name for folder in folders} == {"insurance", "retail"}


def test_a_reply_is_no_intent_and_has_no_examples(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    before = load(pack_folder)
    path.write_text(_reply("photo: {title: {en: Photo}, text: {en: 'A photo?'}}")(path.read_text()))
    pack = load(pack_folder)
    assert pack.replies["photo"].text == {"en": "A photo?"}
    assert (pack.intents, pack.names(), pack.targets(), pack.never_answered()) == (
        before.intents,
        before.names(),
        before.targets(),
        before.never_answered(),
    )


def test_an_intent_is_known_by_the_names_that_it_had(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(
        path.read_text().replace("  refund:\n", "  refund:\n    formerly: [money_back, returns]\n")
    )
    names = load(pack_folder).names()
    former = {"money_back": "refund", "returns": "refund"}
    assert names == former | {name: name for name in load(pack_folder).intents}


def test_a_missing_pack_says_what_to_set(tmp_path: Path) -> None:
    error = _error(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "pack.yml") in error
    assert "Set PACK to a pack's folder" in error


def test_a_pack_under_another_name_says_how_the_file_must_be_called(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text("name: mine\n")
    assert "the file must be called pack.yml: rename pack.yaml." in _error(tmp_path)


def test_a_file_in_place_of_the_folder_is_a_missing_pack(tmp_path: Path) -> None:
    (tmp_path / "pack").write_text("x")
    assert "the file is missing" in _error(tmp_path / "pack")


def test_a_folder_in_place_of_the_file_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "pack.yml").mkdir()
    assert "the file can't be read: Is a directory" in _error(tmp_path)


def test_a_pack_that_may_not_be_read_says_what_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)  # permissions do not bind root
    error = _error(tmp_path)
    assert "the file can't be read: Permission denied." in error
    assert f"chmod -R a+rX {tmp_path}" in error


def test_a_file_in_another_encoding_names_the_line(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    path.write_bytes(path.read_bytes().replace(b"Fern & Petal", b"Fern \xe9", 1))
    assert "the file is not UTF-8. Save it as UTF-8. (line 3)" in _error(pack_folder)


@pytest.mark.parametrize("text", ["", "# nothing", "- a\n- b", "just words", "3"])
def test_a_file_that_is_no_mapping_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.yml").write_text(text)
    assert "must hold a mapping with name, title, intents" in _error(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_swap('title: "Fern & Petal"', 'title: "Fern'), "this is not valid YAML"),
        (_swap("menu: [opening_hours", "menu: [opening_hours\n\t"), "this is not valid YAML"),
        (_swap("2026-04-03", "2026-02-30"), "no such date or number as '2026-02-30' (line 74)"),
        (_swap("name: florist\n", ""), "name: this is missing; write it"),
        (
            _swap("name: florist", "nmae: florist"),
            "nmae: no such key here; did you mean `name`? (line 2)",
        ),
        (_swap("thumbs: false", "thumb: false"), "intents.greeting.thumb: no such key here; did"),
        (_swap(", person: true", ", persn: true"), "buttons.2.persn: no such key here; did you"),
        (
            _swap("threshold: 0.9", "formerly: money_back"),
            'intents.refund.formerly: write a list: ["money_back"] (line',
        ),
        (
            _swap("threshold: 0.9", 'meanwhile: {en: "Stop using it, {custmer}."}'),
            "intents.refund.meanwhile: nothing is known to fill in {custmer}; add it to values",
        ),
        (
            _swap("threshold: 0.9", 'meanwhile: {zh: "停用"}'),
            "intents.refund.meanwhile: the text in 'en' is missing",
        ),
        (
            _swap("threshold: 0.9", "meanwhile: stop"),
            'intents.refund.meanwhile: write it by language: {en: "…"}',
        ),
        (
            _swap("    escalate: always\n", '    meanwhile: {en: "x"}\n    escalate: always\n'),
            "intents.complaint.meanwhile: with escalate: always the answer is that already; write",
        ),
        (
            lambda text: text.replace(
                "  out_of_scope:\n", '  out_of_scope:\n    meanwhile: {en: "x"}\n'
            ),
            "out_of_scope.meanwhile: nobody knows what such a message is about; `urgent`, beside",
        ),
        (
            _swap("menu:", 'urgent: {en: "<b>Call 999"}\nmenu:'),
            "urgent: <b>",
        ),
        (
            _swap("threshold: 0.9", "formerly: [no]"),
            "intents.refund.formerly.0: put it in quotes",
        ),
        (
            _swap("threshold: 0.9", "formerly: [greeting]"),
            "intents.refund.formerly: 'greeting' is an intent today, so take it out of this list",
        ),
        (
            _swap("threshold: 0.9", "formerly: [returns, returns]"),
            "refund.formerly: 'returns' stands under formerly of refund already; keep one of the",
        ),
        (
            lambda text: _swap("threshold: 0.9", "formerly: [returns]")(
                _swap("closing: true", "formerly: [returns]")(text)
            ),
            "intents.greeting.formerly: 'returns' stands under formerly of refund already; keep",
        ),
        (_swap("sla:\n", "sla:\n  x: 1\n"), "sla.x: no such key here; there are first_reply_min"),
        (_swap("threshold: 0.9", "threshold: 9"), "intents.refund.threshold: Input should be less"),
        (_swap("threshold: 0.9", "target_error: 0"), "intents.refund.target_error: Input should"),
        (_swap("  threshold: 0.6", "  target_error: 0.5"), "policy.target_error: Input should be"),
        (_swap("  threshold: 0.6", "  target_error: .nan"), "policy.target_error: Input should"),
        (
            _swap("threshold: 0.9", "priority: true"),
            "intents.refund.priority: only what always gets a person can go first; add escalate",
        ),
        (
            _swap("escalate: always", "escalate: always\n    priority: true"),
            "intents.complaint.priority: what can't wait needs an answer, which says what to do",
        ),
        (_swap("escalate: always", "escalate: often"), "intents.complaint.escalate: Input should"),
        (_swap("  choices: 3", "  choices: 1"), "policy.choices: Input should be greater"),
        (_swap("[opening_hours, order", "[opening, order"), "menu: no intent is called 'opening'"),
        (
            _swap("menu:", "phone_regions: [uk]\nmenu:"),
            "phone_regions: 'uk' is no country with phone numbers",
        ),
        (_swap("menu: [", "menu: [" + "refund, " * 6), "menu: at most 8 fit here"),
        (
            _swap("    thumbs: false", "    thumbs: false\n  Greeting 2:\n    title: {en: Hi}"),
            "intents.Greeting 2: a name has a-z, 0-9 and _ only, a letter first",
        ),
        (
            _swap("    thumbs: false", "    thumbs: false\n  2fa_help:\n    title: {en: Hi}"),
            "intents.2fa_help: a name has a-z, 0-9 and _ only, a letter first",
        ),
        (
            _swap("    thumbs: false", '    thumbs: false\n  "ending\\n":\n    title: {en: Hi}'),
            ": a name has a-z, 0-9 and _ only, a letter first",
        ),
        (_swap("menu:", "a: &a {b: *a}\nmenu:"), "the alias *a stands within itself (line"),
        (
            _swap("  refund:\n    title", "  order_status:\n    title"),
            "intents.order_status: this stands here a second time; keep one of the two",
        ),
        (_swap('answer: {en: "Hello {customer}!"', 'answer: {en: "Hello {custmer}!"'), "{custmer}"),
        (
            _swap('en: "Hello {customer},', 'en: "Hello {Name2},'),
            "greeting: nothing is known to fill in {Name2}",
        ),
        (
            _swap('    answer: {en: "Hello {customer}!", zh: "{customer}您好！"}\n', ""),
            "intents.greeting: give an answer, or escalate: always",
        ),
        (
            _swap('title: {en: "Say hello", ', "title: {"),
            "intents.greeting.title: the text in 'en' is missing",
        ),
        (
            _swap('{en: "Say hello",', '{en: "Say hello", de: "Hallo",'),
            "language 'de' is not among ['en', 'zh']",
        ),
        (_swap('{en: "Say hello"', '{en: " "'), "intents.greeting.title: the text is empty"),
        (_swap("We are open", "We are <bold>open</bold>"), "Telegram knows no <bold>"),
        (
            _swap("We are open", "We are <b>open"),
            "intents.opening_hours.answer: <b> is never closed",
        ),
        (_swap("We are open", "We are <b><i>open</b></i>"), "</b> closes nothing; close <i> first"),
        (_swap("We are open", "5 < 6, open"), "is no tag; write &lt; for a plain <"),
        (_swap("We are open", "We are<br/>open"), "is no tag"),
        (_swap("We are open", "We are <a>open</a>"), "<a> needs an address"),
        (_swap("We are open", "<a href='x{customer}'>We</a> are open"), "can't stand inside a tag"),
        (_swap("We are open", "x" * 3600), "3500 fit"),
        (_swap('shop: "Fern &amp; Petal"', 'shop: "<b>Fern"'), "values.shop: <b> is never closed"),
        (_swap('days: "2"', 'days: "{shop}"'), "values.days: a value can't be filled with other"),
        (_swap('days: "2"', "days: 2"), 'values.days: put it in quotes ("…")'),
        (_swap('days: "2"', "days:"), "values.days: there is nothing here; write a text"),
        (
            _swap('title: {en: "Say hello", zh: "打招呼"}', 'title: "Say hello"'),
            'intents.greeting.title: write it by language: {en: "…"} (line',
        ),
        (
            _swap('{en: "Say hello"', '{no: "Hei"'),
            "intents.greeting.title: put each name here in q",
        ),
        (_swap("values:\n", "values:\n  5: five\n"), "values: put each name here in quotes"),
        (_swap("sla:\n", "sla:\n  5: five\n"), "sla.5: a number is no name; if a comma cut it"),
        (
            _swap("sla:\n  first_reply_minutes: 15", "sla: {first_reply_minutes: 1,5}"),
            "sla.5: a number is no name; if a comma cut it, write a whole one, or one with a point",
        ),
        (
            _swap('    tue: ["09:00-18:00"]', "    tue: 09:00-12:00, 13:00-18:00"),
            'hours.weekly.tue: write a list: ["09:00-12:00", "13:00-18:00"]',
        ),
        (_swap('    tue: ["09:00-18:00"]', "    tue:"), SPANS),
        (_swap('tue: ["09:00-18:00"]', "tue: closed"), SPANS),
        (_swap('tue: ["09:00-18:00"]', "tue: all day"), SPANS),
        (_swap("languages: [en, zh]", 'languages: "- en"'), "begin the list on the next line"),
        (
            _swap("menu: [opening_hours, order_status, complaint]", "menu:"),
            'menu: write a list: each entry after "- ", or all between [ and ]',
        ),
        (
            _swap("[opening_hours, order_status, complaint]", "\n  -refund\n  -complaint"),
            "menu: put a space after each - (line",
        ),
        (
            _swap('{en: "Say hello", zh: "打招呼"}', "{en: Say hello, or hi there}"),
            'greeting.title: write {en: "…"}: quotes around the text, a space after the colon',
        ),
        (
            _swap('{en: "Say hello", zh: "打招呼"}', '{en:"Say hello", zh: "打招呼"}'),
            'greeting.title: write {en: "…"}: quotes around the text, a space after the colon',
        ),
        (
            _swap("  threshold: 0.6", "  threshold: 0,6"),
            "policy.threshold: write a number with a poin",
        ),
        (_swap("  threshold: 0.6", "  threshold: 0,6"), " a point: 0.6 (line"),
        (_swap("  threshold: 0.6", "  threshold: 60%"), " a point: 0.6 (line"),
        (_swap("  threshold: 0.6", "  threshold:"), "policy.threshold: write a number (line"),
        (_swap("threshold: 0.9", "threshold: 80"), "or equal to 1; for 80 % write 0.8 (line"),
        (_swap("threshold: 0.9", "target_error: 5"), "less than 0.5; for 5 % write 0.05 (line"),
        (_swap("threshold: 0.9", "threshold: 800"), "should be less than or equal to 1 (line"),
        (_swap("  threshold: 0.6", "  threshold: high"), "policy.threshold: write a number (line"),
        (_swap("  choices: 3", "  choices: 2.5"), "policy.choices: write a whole number"),
        (_swap("  choices: 3", "  choices: three"), "policy.choices: write a whole number"),
        (_swap("thumbs: false", "thumbs: never"), "intents.greeting.thumbs: write true or false"),
        (_swap("2026-04-03", "3.4.2026"), "closed.0: write a day as year-month-day: 2026-04-03"),
        (_swap("2026-04-03", "31.02.2026"), "closed.0: there is no such day as 31.02.2026 (line"),
        (_swap("2026-04-03", '"2026-02-31"'), "closed.0: there is no such day as 2026-02-31 (l"),
        (_swap("2026-04-03", "Easter"), "closed.0: write a day as year-month-day: 2026-12-25"),
        (_swap("2026-04-03", "20260403"), "closed.0: write a day as year-month-day: 2026-12-25"),
        (
            _swap("  refund:\n", "  empty:\n  refund:\n"),
            "intents.empty: write its keys below it, each indented by two more spaces",
        ),
        (
            _swap("person: true", "person: true, url: 'https://x.y'"),
            "give exactly one of url, intent and person",
        ),
        (_swap(", person: true", ""), "intents.order_status.buttons.2: give exactly one of"),
        (
            _swap('url: "https://florist.example/track"', "url: florist.example"),
            "must start with https://",
        ),
        (
            _swap('url: "https://florist.example/track"', 'url: "{shop}"'),
            "no {value} is filled in here: write a label before the value, as in page: &page",
        ),
        (
            _swap("intent: opening_hours", "intent: complaint"),
            "no intent with an answer is called 'complaint'",
        ),
        (
            _swap("timezone: Europe/London", "timezone: Mars/Base"),
            "unknown time zone 'Mars/Base'; use one like Europe/London",
        ),
        (_swap("timezone: Europe/London", 'timezone: ""'), "unknown time zone ''"),
        (_swap("timezone: Europe/London", "timezone: Europe"), "unknown time zone 'Europe'; use"),
        (_swap("Europe/London", "America/Argentina"), "time zone 'America/Argentina'; use one"),
        (_swap("Europe/London", "x" * 300), "unknown time zone 'xxx"),
        (
            _swap('    tue: ["09:00-18:00"]', '    tues: ["09:00-18:00"]'),
            "unknown day 'tues'; use mon, tue",
        ),
        (
            _swap('    tue: ["09:00-18:00"]', '    tue: ["18:00-09:00"]'),
            "'18:00-09:00' ends before it starts",
        ),
        (
            _swap('    tue: ["09:00-18:00"]', '    tue: ["9-18"]'),
            "'9-18' is no span; write 09:00-18:00",
        ),
        (_swap('    tue: ["09:00-18:00"]', '    tue: ["09:00-18:00-20:00"]'), "is no span"),
        (_swap('    tue: ["09:00-18:00"]', '    tue: ["09:00+01:00-18:00"]'), "is no span"),
        (_swap('    tue: ["09:00-18:00"]', '    tue: ["all day"]'), "'all day' is no span"),
        (_swap("first_reply_minutes: 15", "first_reply_minutes: 0"), "sla.first_reply_minutes"),
        (
            _swap("first_reply_minutes: 15", "next_reply_minutes: 0"),
            "sla.next_reply_minutes: Input",
        ),
        (_swap("first_reply_minutes: 15", "next_reply_minutes: 1.5"), "sla.next_reply_minutes"),
        (
            _swap("policy:\n", "policy:\n  quiet_hours: 0\n"),
            "policy.quiet_hours: Input should be greater than or equal to 1 (line 58)",
        ),
        (_swap("languages: [en, zh]", "languages: []"), "languages: at least 1 must stand here"),
        (
            _swap("languages: [en, zh]", "languages: [en-GB, zh]"),
            "write 'en-GB' as two or three small letters",
        ),
        (
            _swap("policy:\n", "policy:\n  out_of_scope: oos\n"),
            "policy.out_of_scope: no intent called 'oos'",
        ),
        (
            _swap("  out_of_scope:\n", "  oos:\n    title: {en: X}\n  out_of_scope:\n"),
            "intents.oos: the model takes it and out_of_scope for one; keep the one that policy.",
        ),
        (
            _swap("policy:\n", "policy:\n  out_of_scope: opening_hours\n"),
            "policy.out_of_scope: the model knows this intent as out_of_scope or oos only",
        ),
        (
            _reply("refund: {title: {en: A}, text: {en: B}}"),
            "replies.refund: an intent is called so, too; write another name (line 58)",
        ),
        (
            _reply("a: {title: {en: ' say  HELLO'}, text: {en: B}}"),
            "replies.a.title: ' say  HELLO' is the title of intents.greeting, too; write another",
        ),
        (
            _reply("a: {title: {en: A}, text: {en: B}}\n  b: {title: {en: a}, text: {en: B}}"),
            "replies.b.title: 'a' is the title of replies.a, too; write another",
        ),
        (
            _reply("Ask it: {title: {en: A}, text: {en: B}}"),
            "replies.Ask it: a name has a-z, 0-9 and _ only, a letter first, and at most 40",
        ),
        (
            _reply("a: {title: {en: A}, text: {zh: B}}"),
            "replies.a.text: the text in 'en' is missing",
        ),
        (
            _reply("a: {title: {en: A}, text: {en: B, de: B}}"),
            "replies.a.text: language 'de' is not among ['en', 'zh']",
        ),
        (
            _reply("a: {title: {en: A}, text: {en: 'Is it {number}?'}}"),
            "replies.a.text: nothing is known to fill in {number}; add it to values",
        ),
        (
            _reply("a: {title: {en: A}, text: {en: 'Is <b>it'}}"),
            "replies.a.text: <b> is never closed",
        ),
        (
            _reply(f"a: {{title: {{en: A}}, text: {{en: {'x' * 3501}}}}}"),
            "replies.a.text: the text has 3501 characters; 3500 fit",
        ),
        (_reply("a: {title: {en: A}, text: no}"), 'replies.a.text: write it by language: {en: "'),
        (_reply("a: {title: {en: A}}"), "replies.a.text: this is missing; write it"),
        (
            _reply("a: {title: {en: A}, answer: {en: B}}"),
            "replies.a.answer: no such key here; there are title, text",
        ),
    ],
)
def test_each_mistake_gets_its_sentence(pack_folder: Path, change: Change, message: str) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(change(path.read_text()))
    assert message in _error(pack_folder)


def test_all_mistakes_are_reported_at_once_each_with_its_line(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    text = path.read_text().replace("We are open", "We are <b>open")
    path.write_text(text.replace("Say hello", "Say {hello}").replace("menu: [", "menu: [nope, "))
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    lines = path.read_text().splitlines()
    found = {(problem.message.split(":")[0], problem.line) for problem in caught.value.problems}
    assert found == {
        ("menu", 1 + next(i for i, line in enumerate(lines) if line.startswith("menu"))),
        (
            "intents.opening_hours.answer",
            next(i for i, line in enumerate(lines) if "We are <b>" in line),
        ),
        (
            "intents.greeting.title",
            1 + next(i for i, line in enumerate(lines) if "Say {hello}" in line),
        ),
    }


def test_a_language_that_yaml_reads_as_no_is_one_mistake_and_not_a_missing_one(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace("languages: [en, zh]", "languages: [no]"))
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    [problem] = caught.value.problems
    assert problem.message == 'languages.0: put it in quotes ("…"), so that YAML reads it as a text'


@pytest.mark.parametrize("language", ["EN", "en-GB"])
def test_a_language_written_wrongly_is_told_once_and_not_with_each_text(
    pack_folder: Path, language: str
) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace("languages: [en,", f"languages: [{language},"))
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    [problem] = caught.value.problems
    assert problem.message.startswith(f"languages: write '{language}' as two or three small")


def test_a_text_is_given_in_the_customers_language_or_the_first(pack: Pack) -> None:
    assert pack.language("zh-hans") == "zh"
    assert pack.language("EN-us") == "en"
    assert pack.language("fr") == "en"
    assert pack.language(None) == "en"
    assert pack.text({"en": "Hi", "zh": "你好"}, "zh") == "你好"
    assert pack.text({"en": "Hi"}, "zh") == "Hi"


def test_how_long_all_is_kept_may_stand_in_the_privacy_text_and_nowhere_else(
    pack_folder: Path,
) -> None:
    file = pack_folder / "pack.yml"
    said = file.read_text(encoding="utf-8")
    file.write_text(f'privacy: {{en: "Kept {{retention}}"}}\n{said}', encoding="utf-8")
    assert load(pack_folder).privacy == {"en": "Kept {retention}"}
    file.write_text(said.replace("Hello {customer}", "Kept {retention}"), encoding="utf-8")
    with pytest.raises(PackError, match=r"greeting: nothing is known to fill in \{retention\}"):
        load(pack_folder)


def test_placeholders_are_filled_and_other_braces_stay(pack: Pack) -> None:
    text = {"en": "{customer}, {days} { days } {nobody} {"}
    assert pack.text(text, "en", "Ana {shop}") == "Ana {shop}, 2 2 {nobody} {"


@pytest.mark.parametrize(
    "text",
    ["plain", "<b>x</b>", "a &amp; b & c > d", "<a href='https://x.y?a=1&amp;b'>x</a>", "<B>x</b>"],
)
def test_good_markup_has_no_problems(text: str) -> None:
    assert html_problems(text) == []
    parse_html(text)


_pieces = st.sampled_from(
    ["<b>", "</b>", "<i>", "</i>", "<a href='https://x.y'>", "<a>", "</a>", "<br/>", "<", ">", "&",
     "&lt;", "<!-- x -->", "</", "<b", " x ", "<B >", "</ b>", "<pre>", "</pre>", "<u>", "</u>",
     "<code class='language-py'>", "</code>", "<blockquote expandable>", "</blockquote>", "\n",
     "<span>", "</span>", "=", "'", '"', "<a href=x>", "<?x?>", "<![CDATA["]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(_pieces, max_size=8).map("".join) | st.text("<>/ab &;'\"= \n!-", max_size=20))
def test_what_the_pack_accepts_telegram_accepts(text: str) -> None:
    if not html_problems(text):
        try:
            parse_html(text)
        except ApiError as error:  # pragma: no cover - only when the test fails
            raise AssertionError(f"{text!r}: {error}") from error


@pytest.mark.parametrize("name", ["insurance", "retail"])
def test_what_stands_before_the_call_for_a_person_does_not_say_so_itself(name: str) -> None:
    """Above "I'm passing this to a colleague" nobody takes it on, reads it or looks after it."""
    pack = load(Path("packs") / name)
    for intent in pack.never_answered():
        answer = plain(pack.text(pack.intents[intent].answer or {"en": ""}, "en"))
        last = re.split(r"(?<=[.?!])\s+", answer)[-1]
        assert not last.startswith("A colleague"), intent
        assert not answer.startswith("A colleague"), intent


def test_every_answer_of_the_packs_here_is_good_markup() -> None:
    for folder in (FLORIST, Path("packs/insurance"), Path("packs/retail")):
        pack = load(folder)
        for intent in pack.intents.values():
            for language in intent.answer or {}:
                parse_html(pack.text(intent.answer or {}, language, "Ana &lt;3"))
