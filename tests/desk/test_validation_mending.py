"""`validate --fix`: what it changes, what it leaves to people, and that a second time is idle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classifier.data import read_examples
from desk.validation import Kind, Mending, Severity, check_files, check_pack
from desk.validation.mending import _replace
from tests.desk.test_locking import is_held


def _row(text: str, intent: str | None = "a", sentiment: str | None = None) -> str:
    row = {"text": text, "intent": intent, "sentiment": sentiment}
    return json.dumps({k: v for k, v in row.items() if v}, ensure_ascii=False) + "\n"


def _mend(*files: Path) -> list[str]:
    """Mend, check that a second time has nothing to do, and return what was said."""
    mending = Mending(*check_files(*files).files)
    mending.write()
    contents = [file.read_bytes() for file in files]
    again = Mending(*check_files(*files).files)
    again.write()
    assert again.changes == []
    assert [file.read_bytes() for file in files] == contents
    return [f"{Path(change.file).name}:{change.line}" for change in mending.changes]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


@pytest.fixture
def test(tmp_path: Path) -> Path:
    return tmp_path / "test.jsonl"


def test_repeats_with_the_same_labels_go_and_the_first_stays(data: Path) -> None:
    data.write_text(_row("hi") + _row("bye") + _row("Hi!") + _row("hi", "a", "neutral"))
    assert _mend(data) == ["data.jsonl:3"]
    assert data.read_text() == _row("hi") + _row("bye") + _row("hi", "a", "neutral")


def test_texts_that_differ_in_more_than_case_spaces_and_their_end_stay(data: Path) -> None:
    texts = ["c# help", "c help", "c++ help", "thanks :)", "thanks", "it works", "it works?"]
    data.write_text("".join(map(_row, texts)))
    before = data.read_bytes()
    assert _mend(data) == []
    assert data.read_bytes() == before


def test_nothing_is_decided_between_two_labels(data: Path) -> None:
    rows = _row("hi", "a") + _row("hi", "b") + _row("yo", "a", "neutral")
    data.write_text(rows + _row("yo", "a", "positive"))
    before = data.read_bytes()
    assert _mend(data) == []
    assert data.read_bytes() == before
    assert [f.kind for f in check_files(data).findings].count(Kind.TWO_LABELS) == 2


UNREADABLE = [
    ('{"text": "hi", "label": 1}', '{"text": "hi!", "label": 2}'),
    ('{"text": "hi", "intent": "a"}', '{"text": "hi!", "intent": "a", "label": "b"}'),
    ('{"text": "hi", "intent": "a"}', '{"text": "hi!", "intent": "a", "sentiment": "negativ"}'),
    ('{"text": "hi", "intent": "a"}', '{"text": "hi!", "intent": "a", "sentimnt": "negative"}'),
]
"""A row that can be read, or can't, and one of the same text with a label that can't be read."""


@pytest.mark.parametrize("rows", [*UNREADABLE, *(pair[::-1] for pair in UNREADABLE)])
def test_a_row_whose_label_cannot_be_read_repeats_none_and_is_repeated_by_none(
    data: Path, rows: tuple[str, str]
) -> None:
    data.write_text("".join(f"{row}\n" for row in rows))
    before = data.read_bytes()
    assert _mend(data) == []
    assert data.read_bytes() == before
    (repeat,) = [f for f in check_files(data).findings if f.kind is Kind.DUPLICATE]
    assert "stands already in line 1; write all of its labels in one line" in repeat.message


@pytest.mark.parametrize("rows", [*UNREADABLE, *(pair[::-1] for pair in UNREADABLE)])
def test_a_row_whose_label_cannot_be_read_is_no_leak_to_be_mended(
    data: Path, test: Path, rows: tuple[str, str]
) -> None:
    data.write_text(_row("one") + _row("two") + f"{rows[0]}\n")
    test.write_text(f"{rows[1]}\n")
    assert _mend(data, test) == []


def test_a_row_of_a_csv_with_more_in_a_column_that_is_not_known_repeats_none(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label,mood\nhi,a,\nHi,a,\nhi,a,angry\n")
    assert _mend(data) == ["data.csv:3"]


def test_a_repeat_of_either_of_two_conflicting_rows_goes(data: Path) -> None:
    data.write_text(_row("hi", "a") + _row("hi", "b") + _row("hi", "a") + _row("hi", "b"))
    assert _mend(data) == ["data.jsonl:3", "data.jsonl:4"]


def test_lines_that_need_no_mending_stay_byte_for_byte(data: Path) -> None:
    odd = b'{"intent":"a" ,  "text":"caf\\u00e9"}\n'
    broken = b'{"text": "caf\xe9"}\n\nnonsense\n'
    data.write_bytes(odd + broken + _row("hi ").encode() + b'{"text":"end","intent":"a"}')
    assert _mend(data) == ["data.jsonl:5"]
    assert data.read_bytes() == (
        odd + broken + _row("hi").encode() + b'{"text":"end","intent":"a"}'
    )


def test_a_mended_line_keeps_its_other_keys_and_their_order(data: Path) -> None:
    data.write_text('{"intent": "a", "text": " hi", "note": [1, 2.50]}\n')
    _mend(data)
    assert data.read_text() == '{"intent": "a", "text": "hi", "note": [1, 2.5]}\n'


def test_of_repeats_the_one_that_stays_is_private_if_any_is_and_measures_if_any_does(
    data: Path,
) -> None:
    liked = '{"text": "hi", "private": true, "measures": false, "intent": "a"}\n'
    unclear = '{"text": "hi", "intent": "a", "private": "yes"}\n'
    data.write_text(_row("hi") + liked + unclear)
    assert _mend(data) == ["data.jsonl:1", "data.jsonl:2"]
    assert data.read_text() == '{"text": "hi", "intent": "a", "private": true}\n' + unclear
    data.write_text(liked + _row("hi"))
    assert _mend(data) == ["data.jsonl:1", "data.jsonl:2"]
    assert data.read_text() == liked.replace("false", "true")
    # Of a mood alone nothing follows for the intent.
    mood = '{"text": "hi", "intent": "a", "sentiment": "neutral", "measures": false}\n'
    data.write_text(mood + _row("hi", None, "neutral"))
    assert _mend(data) == ["data.jsonl:2"]
    assert data.read_text() == mood


def test_a_row_of_the_test_that_is_to_measure_nothing_is_told(data: Path, test: Path) -> None:
    data.write_text(_row("hi"))
    test.write_text(_row("bye") + '{"text": "yes", "intent": "a", "measures": false}\n')
    found = check_files(data, test).findings
    [told] = [each for each in found if "to measure no model" in each.message]
    assert (told.severity, told.line, told.file) == (Severity.WARNING, 2, str(test))


def test_a_text_that_is_a_repeat_once_it_is_put_right_goes_too(data: Path) -> None:
    data.write_text(_row("café") + _row("cafÃ©") + _row("thÃ©"))
    assert _mend(data) == ["data.jsonl:2", "data.jsonl:2", "data.jsonl:3"]
    assert data.read_text() == _row("café") + _row("thé")


def test_a_no_break_space_beside_a_garbled_text_is_no_hindrance(data: Path) -> None:
    data.write_text(_row("cafÃ©\xa0", "a") + _row("voilÃ\xa0", "b"))
    [told] = [f for f in check_files(data).findings if f.line == 1 and f.kind is Kind.ENCODING]
    assert told.message.endswith("--fix makes it 'café'")
    assert _mend(data) == ["data.jsonl:1", "data.jsonl:2"]
    assert data.read_text() == _row("café", "a") + _row("voilà", "b")


def test_what_does_not_decode_cleanly_or_was_lost_is_left(data: Path) -> None:
    data.write_text(_row("Ã© é") + _row("caf\ufffd"))
    assert _mend(data) == []


def test_line_ends_and_the_byte_order_mark_are_normalised_in_jsonl(data: Path) -> None:
    data.write_bytes(("\ufeff" + _row("one") + _row("two")).replace("\n", "\r\n").encode())
    assert _mend(data) == ["data.jsonl:1", "data.jsonl:1"]
    assert data.read_bytes() == (_row("one") + _row("two")).encode()


def test_training_rows_that_are_in_the_test_go_and_the_test_stays(data: Path, test: Path) -> None:
    long = "the bouquet that you sent to my mother last week is two days late and this is awful"
    kept = [_row("one"), _row("two"), _row("three"), _row("four", "b")]
    data.write_text("".join([*kept[:2], _row("Hi"), _row(long), *kept[2:]]))
    test.write_text(_row("hi!") + _row(f"{long} x") + _row("four", "a"))
    before = test.read_bytes()
    assert _mend(data, test) == ["data.jsonl:3", "data.jsonl:4"]
    assert data.read_text() == "".join(kept)
    assert test.read_bytes() == before


def test_a_test_that_is_most_of_the_training_data_costs_no_row(data: Path, test: Path) -> None:
    data.write_text(_row("one") + _row("two") + _row("three"))
    test.write_text(_row("one") + _row("two"))
    assert _mend(data, test) == []


def test_a_csv_is_mended_row_by_row(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(
        '\ufefftext,label\r\n"cafÃ©, ""two""\r\nlines ",a\r\n"plain",a\r\nPlain,a\r\n'
        '\'=1+1,b\r\n =2,b\r\n"last",b'.encode()
    )
    assert _mend(data) == ["data.csv:2", "data.csv:5"]
    assert data.read_bytes() == (
        '\ufefftext,label\r\n"café, ""two""\r\nlines","a"\r\n"plain",a\r\n'
        '\'=1+1,b\r\n =2,b\r\n"last",b'.encode()
    )
    assert read_examples(data)[0].text == 'café, "two"\r\nlines'


def test_a_label_in_quotes_after_a_space_stays_what_it_is_where_its_row_is_mended(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data.csv"
    data.write_text('text, label\n"cafÃ©, two", "a, b"\n')
    assert _mend(data) == ["data.csv:2"]
    assert data.read_text() == 'text, label\n"café, two","a, b"\n'


def test_a_pack_is_mended_and_its_other_files_stay(pack_folder: Path) -> None:
    before = {path: path.read_bytes() for path in pack_folder.iterdir()}
    with (pack_folder / "examples.jsonl").open("a") as file:
        file.write(_row("hello there", "greeting", "neutral"))
    checked = check_pack(pack_folder)
    mending = Mending(*checked.files)
    assert [str(change) for change in mending.changes] == [
        "examples.jsonl:15: removed 'hello there': it is in test.jsonl, line 4"
    ]
    mending.write()
    assert {path: path.read_bytes() for path in pack_folder.iterdir()} == before
    assert not [f for f in check_pack(pack_folder).findings if f.severity is Severity.ERROR]


@pytest.mark.parametrize("mark", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
def test_what_others_wrote_since_the_file_was_read_is_not_lost(data: Path, mark: str) -> None:
    data.write_text(mark + _row(" hi "))
    mending = Mending(*check_files(data).files)
    data.write_text(mark + _row(" hi ") + _row("more"))
    with pytest.raises(OSError, match=r"data\.jsonl has changed since it was read; try it again"):
        mending.write()
    assert data.read_text() == mark + _row(" hi ") + _row("more")
    _mend(data)
    assert data.read_text() == _row("hi") + _row("more")


def test_a_folder_is_held_while_its_file_is_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.write_text(_row(" hi "))
    held = []
    replace = Path.replace

    def looked_at(path: Path, target: Path) -> Path:
        held.append(is_held(data.parent))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", looked_at)
    _mend(data)
    assert held == [True]


def test_planning_changes_nothing(data: Path) -> None:
    data.write_text(_row("hi") + _row("hi"))
    before = data.read_bytes()
    assert len(Mending(*check_files(data).files).changes) == 1
    assert data.read_bytes() == before


def test_a_file_that_cannot_be_written_stays_whole_and_nothing_lies_beside_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    data.write_text(_row("hi") + _row("hi"))
    before = data.read_bytes()
    mending = Mending(*check_files(data).files)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        mending.write()
    assert data.read_bytes() == before
    assert list(data.parent.iterdir()) == [data]


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path, data: Path) -> None:
    data.write_text("old")
    data.chmod(0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(data)
    _replace(link, b"new")
    assert link.is_symlink()
    assert data.read_bytes() == b"new"
    assert data.stat().st_mode & 0o777 == 0o640


def test_a_leak_settles_no_conflict_of_two_labels(data: Path, test: Path) -> None:
    kept = [_row("one"), _row("two"), _row("three"), _row("four")]
    # Twice in the training, twice in the test, and in the test without saying which.
    data.write_text(
        "".join([*kept, _row("hi", "a"), _row("hi", "b"), _row("yo"), _row("ok"), _row("ok", "b")])
    )
    test.write_text(
        _row("hi", "a") + _row("yo", "a") + _row("yo", "b") + _row("ok", None, "neutral")
    )
    before = data.read_bytes()
    assert _mend(data, test) == []
    assert data.read_bytes() == before


def test_a_csv_keeps_its_separator_and_the_line_that_declares_it(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(
        b'sep=;\r\ntext;intent\r\n"one; two ";a\r\none,two;b\r\nOne,two!;b\r\nthree ;b\r\n'
    )
    Mending(*check_files(data).files).write()
    assert data.read_bytes() == (
        b'sep=;\r\ntext;intent\r\n"one; two";"a"\r\none,two;b\r\n"three";"b"\r\n'
    )
    assert Mending(*check_files(data).files).changes == []
