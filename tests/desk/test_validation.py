"""Validating a pack: each finding with its place, and what the starter pack promises."""

from __future__ import annotations

import json
import random
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk import pack as packs
from desk.validation import Finding, Kind, Severity, check_pack, exact_key
from desk.validation.near import NearTexts, grams

PACKS = [Path("packs/insurance"), Path("packs/retail")]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _add(folder: Path, line: str | dict[str, Any], name: str = "examples.jsonl") -> int:
    """Add a line to a file of the pack; returns its number."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    line = line if isinstance(line, str) else json.dumps(line)
    path.write_text(text + line + "\n", encoding="utf-8")
    return text.count("\n") + 1


def _errors(folder: Path) -> list[Finding]:
    return [found for found in check_pack(folder).findings if found.severity is Severity.ERROR]


def test_a_sound_pack_has_no_error(pack_folder: Path) -> None:
    assert _errors(pack_folder) == []


def test_a_finding_reads_like_a_compilers(pack_folder: Path) -> None:
    line = _add(pack_folder, "nonsense")
    (found,) = _errors(pack_folder)
    assert str(found).startswith(f"examples.jsonl:{line}: error: this line is not JSON")


def test_what_loading_reports_is_found_with_its_line(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(
        path.read_text().replace("We are open", "We are <b>open").replace("mon:", "mo:")
    )
    found = [(error.file, error.line, error.message) for error in _errors(pack_folder)]
    assert len(found) == 1
    assert found[0][0] == "pack.yml"
    assert found[0][1] == path.read_text().splitlines().index("  weekly:") + 1
    path.write_text(path.read_text().replace("mo:", "mon:"))
    (error,) = _errors(pack_folder)
    assert error.message == "intents.opening_hours.answer: <b> is never closed"
    assert error.line == path.read_text().splitlines().index("    answer:") + 1


def test_an_empty_folder_misses_all_three_files(tmp_path: Path) -> None:
    errors = _errors(tmp_path)
    assert [error.file for error in errors] == ["pack.yml", "examples.jsonl", "test.jsonl"]
    assert "No such file" in errors[1].message


def test_a_broken_pack_does_not_hide_what_is_wrong_with_its_examples(pack_folder: Path) -> None:
    (pack_folder / "pack.yml").write_text("name: [")
    line = _add(pack_folder, {"text": "", "intent": "refund"})
    places = [(error.file, error.line) for error in _errors(pack_folder)]
    assert places == [("pack.yml", 1), ("examples.jsonl", line)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "x"', "this line is not JSON"),
        ("[1, 2]", "this is no object"),
        ("42", "this is no object"),
        ({"text": "brand new", "label": "refund"}, "key 'label' is not known"),
        ({"text": "brand new", "intent": "refund", "private": 1}, "private must be true or false"),
        (
            {"text": "brand new", "intent": "refund", "measures": 0},
            "measures must be true or false",
        ),
        ({"intent": "refund"}, "the text is missing or empty"),
        ({"text": " \t", "intent": "refund"}, "the text is missing or empty"),
        ({"text": 5, "intent": "refund"}, "the text is missing or empty"),
        ({"text": "x" * 5000, "intent": "refund"}, "the text has 5000 characters"),
        ({"text": "brand new", "intent": "refnd"}, "intent 'refnd' is not in pack.yml; add it"),
        (
            {"text": "brand new", "intent": "Opening hours"},
            "intent 'Opening hours' is not in pack.yml; write opening_hours",
        ),
        ({"text": "brand new", "intent": 7}, "intent 7 is no name"),
        ({"text": "brand new", "intent": " "}, "intent ' ' is no name"),
        ({"text": "brand \ud83d new", "intent": "refund"}, "half of a surrogate pair"),
        ({"text": "brand \0 new", "intent": "refund"}, "the text holds a NUL character"),
        ('{"text": "a", "text": "b", "intent": "refund"}', "'text' stands twice in it"),
        ({"text": "brand new"}, "there is neither an intent nor a sentiment"),
        ({"text": "brand new", "intent": "refund", "sentiment": "angry"}, "sentiment 'angry'"),
        ({"text": "When do you  OPEN!", "intent": "opening_hours"}, "stands already in line 1"),
        ({"text": "when do you open", "intent": "refund"}, "is refund here and opening_hours in"),
    ],
)
def test_each_bad_example_is_found_with_its_line(
    pack_folder: Path, row: str | dict[str, Any], message: str
) -> None:
    line = _add(pack_folder, row)
    errors = [error for error in _errors(pack_folder) if error.line == line]
    assert [message in error.message for error in errors].count(True) == 1
    assert all(error.file == "examples.jsonl" for error in errors)


def test_a_line_in_another_encoding_is_found(pack_folder: Path) -> None:
    path = pack_folder / "test.jsonl"
    path.write_bytes(path.read_bytes() + b'{"text": "caf\xe9", "intent": "refund"}\n')
    (error,) = _errors(pack_folder)
    assert error.line == 8
    assert "not UTF-8" in error.message


def test_empty_lines_count_but_do_no_harm(pack_folder: Path) -> None:
    path = pack_folder / "examples.jsonl"
    path.write_text("\n\n" + path.read_text() + "\n\nbad\n")
    (error,) = _errors(pack_folder)
    assert error.line == 19


def test_an_example_with_only_a_sentiment_is_welcome(pack_folder: Path) -> None:
    _add(pack_folder, {"text": "this is wonderful", "sentiment": "positive"})
    assert _errors(pack_folder) == []


def test_the_same_text_with_another_sentiment_only_is_a_repeat(pack_folder: Path) -> None:
    _add(pack_folder, {"text": "Hi!", "intent": "greeting", "sentiment": "positive"})
    (error,) = _errors(pack_folder)
    assert "stands already in line 7" in error.message


def test_signs_alone_are_texts_of_their_own(pack_folder: Path) -> None:
    for text in ("?", "??", "...", "🌹", "🌹🌹"):
        _add(pack_folder, {"text": text, "intent": "out_of_scope"})
    assert _errors(pack_folder) == []
    _add(pack_folder, {"text": " ?? ", "intent": "out_of_scope"})
    assert len(_errors(pack_folder)) == 1


def test_an_intent_without_any_example_is_an_error_and_few_are_a_warning(
    pack_folder: Path,
) -> None:
    path = pack_folder / "examples.jsonl"
    kept = [line for line in path.read_text().splitlines() if '"refund"' not in line]
    path.write_text("\n".join(kept))
    (error,) = _errors(pack_folder)
    assert error.message == "intent refund has no example; write some or take it out"
    warnings = [found.message for found in check_pack(pack_folder).findings]
    assert "intent complaint has 2 examples; write at least 20" in warnings


def test_a_single_sentiment_is_an_error_in_a_pack_too(pack_folder: Path) -> None:
    path = pack_folder / "examples.jsonl"
    rows = [{**row, "sentiment": "neutral"} for row in _rows(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    messages = [error.message for error in _errors(pack_folder)]
    only = "neutral is the only sentiment; a model has nothing to tell it from"
    assert [each for each in messages if each.startswith(f"{only}: write neutral for texts in no")]


def test_rows_of_intents_that_a_pack_does_not_have_are_told_an_intent_at_a_time(
    pack_folder: Path,
) -> None:
    path = pack_folder / "examples.jsonl"
    first = path.read_text().count("\n") + 1
    for number in range(9):
        name = "rent" if number % 3 else "loan"
        path.write_text(path.read_text() + f'{{"text": "no. {number}", "intent": "{name}"}}\n')
    loan, rent = _errors(pack_folder)
    lines = ", ".join(str(first + number) for number in (1, 2, 4, 5, 7))
    assert (loan.line, rent.line) == (first, first + 1)
    assert f"intent 'loan' is not in pack.yml (3 rows: lines {first}, " in loan.message
    assert f"intent 'rent' is not in pack.yml (6 rows: lines {lines} …); add it" in rent.message
    assert "rows of another pack, copied with it, are to be taken out" in rent.message


@pytest.mark.parametrize("name", ["examples.jsonl", "test.jsonl"])
def test_out_of_scope_must_be_there(pack_folder: Path, name: str) -> None:
    path = pack_folder / name
    kept = [line for line in path.read_text().splitlines() if "out_of_scope" not in line]
    path.write_text("\n".join(kept))
    (error,) = _errors(pack_folder)
    assert error.file == name
    assert error.message.startswith("intent out_of_scope has no example")


def test_a_file_without_examples_says_so(pack_folder: Path) -> None:
    (pack_folder / "test.jsonl").write_text("\n")
    (error,) = _errors(pack_folder)
    assert error.message == "there is no example in this file"


def test_a_test_text_that_is_in_the_training_file_is_a_leak(pack_folder: Path) -> None:
    line = _add(pack_folder, {"text": "WHERE are my roses", "intent": "order_status"}, "test.jsonl")
    (error,) = _errors(pack_folder)
    assert (error.file, error.line) == ("test.jsonl", line)
    assert "is in examples.jsonl too, line 3" in error.message


def test_a_test_text_that_is_nearly_in_the_training_file_is_a_leak(pack_folder: Path) -> None:
    text = "the bouquet that you sent to my mother last week is two days late and this is awful"
    _add(pack_folder, {"text": text, "intent": "order_status"})
    _add(pack_folder, {"text": text + "!! x", "intent": "order_status"}, "test.jsonl")
    (error,) = _errors(pack_folder)
    assert "is nearly" in error.message
    assert "line 15" in error.message


def test_a_test_text_that_differs_in_signs_only_is_a_leak_unless_it_means_something_else(
    pack_folder: Path,
) -> None:
    _add(pack_folder, {"text": "c# roses", "intent": "order_status"})
    _add(pack_folder, {"text": "Roses: late?", "intent": "order_status"})
    other = _add(pack_folder, {"text": "c roses", "intent": "refund"}, "test.jsonl")
    line = _add(pack_folder, {"text": "roses late", "intent": "order_status"}, "test.jsonl")
    (error,) = _errors(pack_folder)
    assert (error.kind, error.line) == (Kind.LEAK, line)
    (found,) = _warnings(pack_folder, Kind.TWO_LABELS)
    assert (found.file, found.line) == ("test.jsonl", other)
    assert "refund here and order_status there" in found.message


def _warnings(folder: Path, kind: Kind) -> list[Finding]:
    found = [each for each in check_pack(folder).findings if each.kind is kind]
    assert all(each.severity is Severity.WARNING for each in found)
    return found


@pytest.mark.parametrize("name", ["examples.jsonl", "test.jsonl"])
def test_texts_that_are_nearly_the_same_in_one_file_are_a_warning(
    pack_folder: Path, name: str
) -> None:
    text = "the bouquet that you sent to my mother last week is two days late and this is awful"
    first = _add(pack_folder, {"text": text, "intent": "order_status"}, name)
    line = _add(pack_folder, {"text": text + " x", "intent": "order_status"}, name)
    (found,) = _warnings(pack_folder, Kind.NEAR_DUPLICATE)
    assert (found.file, found.line) == (name, line)
    assert f"is nearly {text!r} in line {first}" in found.message
    assert _errors(pack_folder) == []


def test_texts_that_are_nearly_the_same_under_two_intents_are_a_warning(pack_folder: Path) -> None:
    text = "the bouquet that you sent to my mother last week is two days late and this is awful"
    _add(pack_folder, {"text": text, "intent": "order_status"})
    line = _add(pack_folder, {"text": text + " x", "intent": "complaint"})
    (found,) = _warnings(pack_folder, Kind.TWO_LABELS)
    assert found.line == line
    assert "complaint here and order_status there" in found.message


def test_the_intent_and_the_sentiment_of_a_text_in_two_lines_belong_in_one(
    pack_folder: Path,
) -> None:
    _add(pack_folder, {"text": "no roses for me", "intent": "refund"})
    line = _add(pack_folder, {"text": "no roses for me", "sentiment": "negative"})
    (error,) = _errors(pack_folder)
    assert (error.kind, error.line) == (Kind.DUPLICATE, line)
    assert "write all of its labels in one line" in error.message


def test_a_repeat_of_the_second_of_two_conflicting_rows_is_a_repeat_of_that_one(
    pack_folder: Path,
) -> None:
    second = _add(pack_folder, {"text": "hi", "intent": "complaint", "sentiment": "neutral"})
    third = _add(pack_folder, {"text": "hi", "intent": "complaint", "sentiment": "neutral"})
    conflict, repeat = _errors(pack_folder)
    assert (conflict.kind, conflict.line) == (Kind.TWO_LABELS, second)
    assert (repeat.kind, repeat.line) == (Kind.DUPLICATE, third)
    assert f"stands already in line {second}" in repeat.message


def test_a_title_too_long_for_a_button_and_another_name_than_the_folders_are_warnings(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    text = path.read_text().replace('title: {en: "Say hello"', f'title: {{en: "{"x" * 29}"')
    path.write_text(text.replace('en: "Make a complaint"', f'en: "{"x" * 28}"'))
    told = [str(found) for found in check_pack(pack_folder).findings if found.kind is Kind.PACK]
    [long] = [each for each in told if "characters" in each]
    assert long.endswith(
        "intents.greeting.title: the one in 'en' has 29 characters; 28 fit on a button"
    )
    renamed = Path(shutil.copytree(pack_folder, pack_folder.parent / "mine"))
    [about] = [found for found in check_pack(renamed).findings if "name:" in found.message]
    assert (about.severity, about.line) == (Severity.WARNING, 2)
    assert "'florist', and the folder is called 'mine'" in about.message


def test_a_reply_needs_no_example_and_is_told_of_a_long_title_and_a_missing_language(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    known = {str(found) for found in check_pack(pack_folder).findings}
    reply = (
        f'\nreplies:\n  photo:\n    title: {{en: "{"x" * 29}", zh: 照片}}\n    text: {{en: x}}\n'
    )
    path.write_text(path.read_text() + reply)
    new = [found for found in check_pack(pack_folder).findings if str(found) not in known]
    assert [(found.severity, found.message) for found in new] == [
        (
            Severity.WARNING,
            "replies.photo.text: there is no text in 'zh'; the one in 'en' is read instead",
        ),
        (
            Severity.WARNING,
            "replies.photo.title: the one in 'en' has 29 characters; 28 fit on a button",
        ),
    ]


def test_advice_that_asks_something_is_a_warning_where_a_question_may_follow(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    known = {found.message for found in check_pack(pack_folder).findings}
    advice = (
        '{en: "See <a href=\'https://x.example/?a\'>x.example/?a</a>.", zh: "冒烟吗？请拔掉插头。"}'
    )
    text = path.read_text().replace(
        "    threshold: 0.9\n", f"    threshold: 0.9\n    meanwhile: {advice}\n"
    )
    path.write_text(text)
    [found] = [found for found in check_pack(pack_folder).findings if found.message not in known]
    assert found.severity is Severity.WARNING
    assert found.message.startswith("intents.refund.meanwhile: the one in 'zh' asks something")
    path.write_text(text.replace("吗？", "，就"))
    assert {found.message for found in check_pack(pack_folder).findings} <= known


def test_a_missing_translation_is_a_warning(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace(', zh: "打招呼"', ""))
    assert _errors(pack_folder) == []
    (found,) = [found for found in check_pack(pack_folder).findings if "'zh'" in found.message]
    assert found.message.startswith("intents.greeting.title: there is no text in 'zh'")
    assert found.line == 1 + path.read_text().splitlines().index('    title: {en: "Say hello"}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello  World!", " hello world"),
        ("ok...", "OK"),
        ("好的。", "好的！"),
        ("ＯＫ", "ok"),
        ("Straße", "STRASSE"),
        ("a\u00a0b", "a b"),
    ],
)
def test_case_spaces_and_the_end_of_a_sentence_do_not_tell_texts_apart(
    one: str, other: str
) -> None:
    assert exact_key(one) == exact_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("thanks :)", "thanks :("),
        ("thanks 🙂", "thanks 🙁"),
        ("thanks :)", "thanks"),
        ("c# help", "c help"),
        ("it works!", "it works?"),
        ("no, thanks", "no thanks"),
        ("...", "!"),
    ],
)
def test_what_may_change_the_meaning_tells_texts_apart(one: str, other: str) -> None:
    assert exact_key(one) != exact_key(other)


def test_texts_that_differ_in_signs_only_are_a_warning(pack_folder: Path) -> None:
    _add(pack_folder, {"text": "thanks :)", "intent": "greeting", "sentiment": "positive"})
    other = _add(pack_folder, {"text": "thanks :(", "intent": "greeting", "sentiment": "negative"})
    _add(pack_folder, {"text": "it works!", "intent": "greeting"})
    repeat = _add(pack_folder, {"text": "it works?", "intent": "greeting"})
    assert _errors(pack_folder) == []
    (found,) = _warnings(pack_folder, Kind.TWO_LABELS)
    assert found.line == other
    assert "negative here and positive there; is one of them wrong?" in found.message
    (found,) = _warnings(pack_folder, Kind.NEAR_DUPLICATE)
    assert found.line == repeat


def test_looking_up_near_texts_finds_what_comparing_all_of_them_finds() -> None:
    rng = random.Random(7)
    words = ["where", "is", "my", "order", "refund", "please", "late", "size", "the", "a"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 24))) for _ in range(300)]
    near = NearTexts(texts[:200])
    changed = [text + rng.choice(["", "s", " a", " x"]) for text in texts[:150]] + texts[200:]
    hits = 0
    for text in changed:
        own = grams(text)
        likeness = [len(own & grams(o)) / len(own | grams(o)) for o in texts[:200]]
        expected = [number for number, each in enumerate(likeness) if each >= 0.9]
        found = near.near(text)
        assert sorted(found) == expected, text
        assert [likeness[number] for number in found] == sorted(
            (likeness[number] for number in found), reverse=True
        )
        hits += bool(found)
    assert 50 < hits < len(changed)


def test_the_nearest_of_several_near_texts_comes_first() -> None:
    text = "where is the parcel that i ordered from you three weeks ago on a monday"
    assert NearTexts([f"{text} xy", text, "something else", f"{text} x"]).near(text) == [1, 3, 0]


def _likeness(one: str, other: str) -> float:
    return len(grams(one) & grams(other)) / len(grams(one) | grams(other))


_PLACES = ["boston", "new york", "oslo", "denver", "york", "a", "salt lake city", "newark"]
_TEMPLATES = [
    "show me flights from {} to {} on monday in the morning",
    "{} to {}",
    "i would like to book a flight that leaves {} before noon and is in {} at five: what is there?",
]


@given(
    st.lists(
        st.one_of(
            st.builds(
                str.format, st.sampled_from(_TEMPLATES), *[st.sampled_from(_PLACES)] * 2
            ).flatmap(lambda text: st.sampled_from([text, text + "s", text[1:], "x " + text])),
            st.text("ab ", max_size=12),
        ),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_texts_of_templates_are_found_as_by_comparing_all_of_them(
    texts: list[str], split: int
) -> None:
    known = texts[split:]
    near = NearTexts(known)
    for text in texts[:split]:
        alike = [(-_likeness(text, other), n) for n, other in enumerate(known)]
        assert near.near(text) == [n for likeness, n in sorted(alike) if -likeness >= 0.9]
    for number, text in enumerate(known):
        before = [(-_likeness(text, other), n) for n, other in enumerate(known[:number])]
        nearest = min((each for each in before if -each[0] >= 0.9), default=(0, None))
        assert near.nearest_before(number) == nearest[1]


def test_few_pairs_of_templated_texts_are_compared_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(3)
    syllables = [f"{consonant}{vowel}" for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    cities = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(40)]
    pairs = rng.sample([(one, other) for one in cities for other in cities], 600)
    texts = [_TEMPLATES[0].format(*pair) for pair in pairs]
    near = NearTexts(texts)
    compared: list[int] = []
    compare = NearTexts._similarity

    def counted(self: NearTexts, known: set[int], size: int, number: int) -> float:
        compared.append(number)
        return compare(self, known, size, number)

    monkeypatch.setattr(NearTexts, "_similarity", counted)
    for number in range(len(texts)):
        near.nearest_before(number)
    assert len(compared) < 1_000  # of 179,700 pairs; asked for one hit, it would be 5,411


def test_a_long_review_is_kept_in_a_few_kilobytes() -> None:
    rng = random.Random(5)
    words = ["".join(rng.choices("etaoinshr", k=rng.randint(2, 8))) for _ in range(2_000)]
    texts = [" ".join(rng.choices(words, k=230)) for _ in range(100)]
    NearTexts(texts[:1])
    tracemalloc.start()
    try:
        near = NearTexts(texts)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert near.near(texts[0]) == [0]
    assert taken / len(texts) < 30_000


# ---- The starter pack ----


@pytest.mark.parametrize("folder", PACKS, ids=str)
def test_the_packs_here_are_clean(folder: Path) -> None:
    assert [str(found) for found in check_pack(folder).findings] == []


@pytest.mark.parametrize("folder", PACKS, ids=str)
def test_the_packs_here_have_the_examples_that_the_docs_ask_for(folder: Path) -> None:
    pack = packs.load(folder)
    oos = pack.policy.out_of_scope
    train, test = _rows(folder / "examples.jsonl"), _rows(folder / "test.jsonl")
    in_train, in_test = (Counter(row["intent"] for row in rows) for rows in (train, test))
    intents = set(pack.intents) - {oos}
    assert len(intents) >= 28
    assert {name for name in intents if in_train[name] < 45} == set()
    assert {name for name in intents if in_test[name] < 12} == set()
    assert in_train[oos] >= 250
    assert in_test[oos] >= 100
    for rows in (train, test):
        moods = Counter(row.get("sentiment") for row in rows)
        assert min(moods[name] for name in ("negative", "neutral", "positive")) >= len(rows) / 15
