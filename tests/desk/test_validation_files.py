"""Validating bare files of examples, JSONL and CSV: line by line, whatever is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classifier.data import DataError, read_examples
from classifier.training import find_labels
from desk.validation import Finding, Kind, Mending, Severity, check_files


def _jsonl(path: Path, *rows: tuple[str, str]) -> Path:
    lines = [json.dumps({"text": text, "intent": intent}) for text, intent in rows]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _plenty(intent: str, count: int = 20) -> list[tuple[str, str]]:
    words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    texts = [f"{one} {other}" for one in words for other in words if one != other]
    return [(f"{intent}: {text}", intent) for text in texts[:count]]


def _errors(*files: Path) -> list[Finding]:
    return [each for each in check_files(*files).findings if each.severity is Severity.ERROR]


def test_a_sound_file_is_clean(tmp_path: Path) -> None:
    data = _jsonl(tmp_path / "data.jsonl", *_plenty("swap"), *_plenty("refund"))
    assert check_files(data).findings == []


def test_a_text_kept_from_being_a_formula_is_that_text(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,intent\n'-20% off code,a\n-20% off code,b\nhello,a\nbye,b\n")
    (found,) = _errors(data)
    assert (found.kind, found.line) == (Kind.TWO_LABELS, 3)


def test_spaces_that_are_left_are_not_promised_to_go(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,intent\n=x y ,a\nhello ,b\n")
    said = [each.message for each in check_files(data).findings if each.kind is Kind.SPACES]
    assert ["--fix" in each for each in said] == [False, True]
    assert [change.line for change in Mending(*check_files(data).files).changes] == [3]


def test_a_csv_of_a_spreadsheet_is_clean(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    rows = [f'"{text}, please",{intent}' for text, intent in _plenty("a") + _plenty("b")]
    data.write_bytes(("\ufeffText,Label\r\n" + "\r\n".join(rows) + "\r\n").encode())
    assert check_files(data).findings == []


def test_a_spreadsheets_empty_column_is_nothing_and_a_filled_one_without_a_name_told_once(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data.csv"
    rows = [f"{number};{text};{intent};" for number, (text, intent) in enumerate(_plenty("a"))]
    data.write_text("\n".join([";Text;Label;", *rows]))
    assert [(each.line, each.message) for each in _errors(data) if each.line] == [
        (2, "column 1 has no name; name it in the header, or take it away")
    ]
    data.write_text(
        "\n".join(
            ["Text;Label;", *(f"{text};{intent};" for text, intent in _plenty("a") + _plenty("b"))]
        )
    )
    assert check_files(data).findings == []


def test_rasas_nlu_is_checked_with_its_lines_and_not_mended(tmp_path: Path) -> None:
    data = tmp_path / "nlu.yml"
    data.write_text(
        "nlu:\n- intent: swap\n  examples: |\n    - swap it\n    - take it back\n"
        "    - Swap it!\n    - cafÃ©\n- intent: refund\n  examples:\n  - ' take it back '\n"
        "  - {text: money, metadata: {sentiment: cross}}\n"
    )
    checked = check_files(data)
    found = [(f.line, f.kind) for f in checked.findings if f.kind is not Kind.FEW_EXAMPLES]
    assert found == [
        (6, Kind.DUPLICATE),
        (7, Kind.ENCODING),
        (10, Kind.TWO_LABELS),
        (11, Kind.ROW),
    ]
    assert not [f for f in checked.findings if "--fix" in f.message]
    assert Mending(*checked.files).changes == []


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"nlu:\n- intent: a\n  examples: |\n    - x\n    y\n", 5, "does not begin with -"),
        (b"nlu:\n- intent: [a\n", 3, "is not YAML"),
        (b"nlu:\n- intent: a\n  examples: |\n    - caf\xe9\n", 4, "not UTF-8"),
        (b"intents: [a]\n", 1, "is this Rasa's nlu.yml?"),
    ],
)
def test_what_is_wrong_with_rasas_nlu_itself_is_found_with_its_line(
    tmp_path: Path, content: bytes, line: int, message: str
) -> None:
    data = tmp_path / "nlu.yaml"
    data.write_bytes(content)
    (error,) = (each for each in _errors(data) if each.line == line)
    assert message in error.message
    with pytest.raises(DataError):
        read_examples(data)


def test_a_csv_finding_has_the_line_where_its_row_begins(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text('text,label\n"one\ntwo",a\n\nthree,a\n"one\ntwo",b\nfour,a,b\n,a\n')
    found = {(each.line, each.kind) for each in _errors(data)}
    assert found == {(6, Kind.TWO_LABELS), (8, Kind.ROW), (9, Kind.ROW)}


def test_a_key_with_another_common_name_is_told_what_to_be_called(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"message": "hi", "category": "a", "foo": 1}\n')
    told = [each.message for each in _errors(data) if each.message.startswith("key ")]
    assert [words[:48] for words in told] == [
        "key 'category' is not known; rename it to `inten",
        "key 'foo' is not known; use text, intent, label ",
        "key 'message' is not known; rename it to `text`",
    ]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("text|label\na|b\n", 1, "separate the columns with commas"),
        ("text;label\na;b;c\n", 2, "put a text with semicolons in double quotes"),
        ("sentence,label\na,b\n", 1, "no column text"),
        ("text,text\na,b\n", 1, "names a column twice"),
        ("text,label,\na,x,\nb,x,y\nc,x,z\n", 3, "column 3 has no name; name it in the header"),
        ("text,label,mood\na,b,c\n", 1, "column 'mood' is not known; rename it to `sentiment`"),
        ("text,label,tone,foo\na,b,c,d\n", 1, "column 'foo' is not known; use text, "),
        ("text,category\na,b\nc,d\n", 1, "no label column; rename `category` to `intent`"),
        (
            "text,topic,tone\na,b,c\nd,e,f\n",
            1,
            "no label column; rename `topic` to `intent`, `tone` to",
        ),
        ("text,a,b\nc,d,e\n", 1, "no label column; name one intent or sentiment"),
        ("Message;Category\na;b\n", 1, "no column text; rename `message` to `text`, `category` to"),
        ("short_code,content\na,b\n", 1, "canned answers, not examples; `frontdesk import`"),
        ("text,sentiment\na,Angry\nb,calm\n", 2, "sentiment 'Angry' is not known; write negative"),
        ('text,label\na,b\n"open,b\nc,d\n', 3, "this is not CSV"),
        ("", None, "there is no example"),
        ("text,label\nhi,\n", 2, "neither an intent nor a sentiment"),
        ("text,intent,label\nhi,a,b\n", 2, "mean the same, but differ"),
        ("text,label,sentiment\nhi,a,angry\n", 2, "sentiment 'angry' is not known"),
    ],
)
def test_each_mistake_in_a_csv_is_found_with_its_line(
    tmp_path: Path, content: str, line: int | None, message: str
) -> None:
    data = tmp_path / "data.csv"
    data.write_text(content)
    assert [message in each.message for each in _errors(data) if each.line == line].count(True) == 1
    with pytest.raises(DataError):  # what validate calls an error, training refuses
        read_examples(data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", '\ufeff"text"|"label"\r\n"a"|"b"\r\n', "separate the columns with commas"),
        ("data.txt", "\ufefftext,label\r\na,b\r\n", "this is CSV; name the file .csv"),
        ("data.json", '[\n  {"text": "a", "intent": "b"}\n]\n', "write one object a line"),
    ],
)
def test_a_file_in_another_format_is_one_error_and_nothing_of_it_is_mended(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    data = tmp_path / name
    data.write_bytes(content.encode())
    (error,) = _errors(data)
    assert error.line == 1
    assert message in error.message
    assert Mending(*check_files(data).files).changes == []


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (error,) = _errors(tmp_path / "none.jsonl")
    assert "No such file" in error.message
    assert error.file == str(tmp_path / "none.jsonl")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_lines_that_are_not_utf8_are_found_and_told_apart_from_a_mixture(
    tmp_path: Path, suffix: str
) -> None:
    head = b"text,label\nhi,b\n" if suffix == ".csv" else b'{"text": "hi", "intent": "b"}\n'
    row = '{{"text": "{}", "intent": "a"}}\n' if suffix == ".jsonl" else "{},a\n"
    alone = tmp_path / f"alone{suffix}"
    alone.write_bytes(head + row.format("one").encode() + row.format("café").encode("latin-1"))
    (error,) = _errors(alone)
    assert (error.kind, error.line) == (Kind.ENCODING, head.count(b"\n") + 2)
    assert "café" in error.message
    assert "mixed" not in error.message
    mixed = tmp_path / f"mixed{suffix}"
    mixed.write_bytes(alone.read_bytes() + row.format("thé").encode())
    (error,) = _errors(mixed)
    assert "two encodings are mixed" in error.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "one", "intent": "a"}\n'.encode("utf-16"), "this is UTF-16"),
        (b'{"text": "one\0", "intent": "a"}\n', "NUL byte"),
        (b"PK\x03\x04\x14\0\x06\0", "this is an Excel workbook or a zip file"),
    ],
)
def test_a_file_that_is_no_text_is_one_error(tmp_path: Path, content: bytes, message: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_bytes(content)
    (error,) = _errors(data)
    assert error.kind is Kind.ENCODING
    assert message in error.message


def test_garbled_and_lost_characters_are_warnings_with_their_lines(tmp_path: Path) -> None:
    data = _jsonl(tmp_path / "d.jsonl", ("cafÃ©", "a"), ("caf\ufffd", "a"), ("Ã© é", "b"))
    found = [each for each in check_files(data).findings if each.kind is Kind.ENCODING]
    assert [(each.severity, each.line) for each in found] == [
        (Severity.WARNING, line) for line in (1, 2, 3)
    ]
    assert "--fix makes it 'café'" in found[0].message
    assert "was lost" in found[1].message
    assert "write it anew" in found[2].message


def test_windows_line_ends_a_byte_order_mark_and_spaces_are_warnings(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    row = '{"text": " one ", "intent": "a"}\r\n{"text": "two", "intent": "b"}\r\n'
    data.write_bytes(f"\ufeff{row}".encode())
    found = [each.message for each in check_files(data).findings if each.kind is Kind.SPACES]
    assert len(found) == 3
    assert not _errors(data)


def test_a_small_intent_and_one_beside_out_of_scope_are_warnings(tmp_path: Path) -> None:
    data = _jsonl(tmp_path / "data.jsonl", *_plenty("swap", 19), ("what's that", "oos"))
    messages = [each.message for each in check_files(data).findings]
    assert messages == [
        "intent swap has 19 examples; write at least 20",
        "swap is the only intent; a model tells it from texts out of scope alone",
    ]
    assert not _errors(data)


def test_both_names_of_out_of_scope_are_one_label_and_in_capitals_it_is_none(
    tmp_path: Path,
) -> None:
    data = _jsonl(
        tmp_path / "data.jsonl",
        *_plenty("swap"),
        *_plenty("refund"),
        ("what's that", "oos"),
        ("sing", "out_of_scope"),
    )
    test = _jsonl(tmp_path / "test.jsonl", ("Sing", "oos"))
    (error,) = _errors(data, test)
    assert (error.kind, error.line) == (Kind.LEAK, 1)
    assert "(as" not in error.message
    both = _jsonl(tmp_path / "both.jsonl", ("sing", "oos"), ("sing", "out_of_scope"), ("a", "b"))
    assert Kind.TWO_LABELS not in {each.kind for each in check_files(both).findings}
    assert len(Mending(*check_files(both).files).changes) == 1
    capitals = _jsonl(tmp_path / "capitals.jsonl", *_plenty("swap"), *_plenty("OOS"))
    (found,) = check_files(capitals).findings
    assert (
        found.message == "intent OOS is an intent like others; for what is out of scope write oos"
    )


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("refund", "refund\u200b"),
        ("caf\u00e9", "cafe\u0301"),
        ("Refund", "refund"),
        ("opening_hours", "opening hours"),
        ("opening_hours", "openinghours"),
        ("re\u200bfund", "refund"),
        ("退款", "退 款"),
        ("退款", "退款！"),
    ],
)
def test_names_of_intents_that_look_alike_are_told_once(
    tmp_path: Path, name: str, other: str
) -> None:
    rows = [*_plenty(name), *[(f"my {text}", other) for text, _ in _plenty("swap")]]
    (found,) = check_files(_jsonl(tmp_path / "data.jsonl", *rows)).findings
    assert (found.severity, found.line) == (Severity.WARNING, 21)
    assert found.message.startswith(f"intent {other!r} differs from {name!r} in line 1 by case,")


@pytest.mark.parametrize(
    ("rare", "common"),
    [
        ("rfund", "refund"),
        ("refunds", "refund"),
        ("erfund", "refund"),
        ("oredr_stauts", "order_status"),
        ("rodre_status", "order_status"),
        ("xorder_status", "order_status"),
        ("Order statuus", "order_status"),
        ("ooss", "oos"),
    ],
)
def test_a_rare_intent_that_looks_like_a_mistyped_common_one_is_told(
    tmp_path: Path, rare: str, common: str
) -> None:
    rows = [*_plenty("swap"), *_plenty(common), ("hm", rare)]
    found = check_files(_jsonl(tmp_path / "data.jsonl", *rows)).findings
    assert [(each.line, each.message) for each in found if each.kind is Kind.ALIKE] == [
        (41, f"intent {rare!r} (1 example) looks like {common!r}; is it mistyped?")
    ]


@pytest.mark.parametrize(
    ("rare", "common", "count"),
    [
        ("refunds", "refund", 5),
        ("plan_2", "plan_1", 1),
        ("bye", "hi", 1),
        ("sizes", "wires", 1),
        ("logout", "login", 1),
        ("lock_card", "unlock_card", 1),
        ("deactivate_card", "activate_card", 1),
        ("import_data", "export_data", 1),
        ("plan_1_1", "plan_11", 1),
        ("退货", "退款", 1),
    ],
)
def test_an_intent_that_may_well_be_another_is_not_taken_for_a_mistyped_one(
    tmp_path: Path, rare: str, common: str, count: int
) -> None:
    rows = [*_plenty(common), *_plenty(rare, count)]
    found = check_files(_jsonl(tmp_path / "data.jsonl", *rows)).findings
    assert not [each for each in found if each.kind is Kind.ALIKE]


@pytest.mark.parametrize("kind", ["intent", "sentiment"])
def test_a_single_label_is_an_error_as_training_refuses_it(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f'{{"text": "{t}", "{kind}": "neutral"}}\n' for t in ("one", "two")))
    (error,) = _errors(data)
    told, _, mend = error.message.partition(": ")
    assert told == f"neutral is the only {kind}; a model has nothing to tell it from"
    assert mend.endswith("leave blank what you don't know") == (kind == "sentiment")
    with pytest.raises(DataError, match="nothing to tell apart"):
        find_labels(read_examples(data))


def test_an_intent_that_is_tested_but_never_trained_is_an_error(tmp_path: Path) -> None:
    data = _jsonl(tmp_path / "data.jsonl", *_plenty("swap"), *_plenty("refund"))
    test = _jsonl(tmp_path / "test.jsonl", ("one", "swap"), ("two", "refunds"))
    found = check_files(data, test).findings
    assert {(each.severity, each.message.split()[1]) for each in found} == {
        (Severity.ERROR, "refunds"),
        (Severity.WARNING, "refund"),
        (Severity.WARNING, "swap"),
    }


def test_a_leak_between_two_files_is_an_error(tmp_path: Path) -> None:
    data = _jsonl(tmp_path / "data.jsonl", ("swap it", "swap"), ("pay me back", "refund"))
    test = _jsonl(tmp_path / "test.jsonl", ("Swap it!", "swap"))
    (error,) = _errors(data, test)
    assert (error.kind, error.file, error.line) == (Kind.LEAK, str(test), 1)


def test_a_file_of_sentiments_alone_is_no_file_without_intents(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,sentiment\nlovely,Positive\nawful, negative \n")
    one, *others = (each.message for each in check_files(data).findings)
    assert one.startswith("no example is neutral, and a model takes each text for one of the oth")
    assert others == [
        "sentiment negative has 1 example; write at least 60",
        "sentiment positive has 1 example; write at least 20",
    ]
    assert not _errors(data)


def test_a_sentiment_that_is_hardly_tested_or_never_trained_is_told(tmp_path: Path) -> None:
    def write(name: str, counts: dict[str, int]) -> Path:
        texts = (text for text, _ in [*_plenty(name, 90), *_plenty(f"other {name}", 90)])
        rows = [{"text": next(texts), "sentiment": s} for s, n in counts.items() for _ in range(n)]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    data = write("data.jsonl", {"negative": 60, "positive": 20})
    test = write("test.jsonl", {"negative": 5, "positive": 4, "neutral": 5})
    assert [
        (str(f.severity), f.message.split(";")[0]) for f in check_files(data, test).findings
    ] == [
        ("warning", "no example is neutral, and a model takes each text for one of the others"),
        ("error", f"sentiment neutral is tested, but has no example in {data}"),
        ("warning", "sentiment positive has 4 examples"),
    ]
    # More than of the others: of it a model must be sure.
    data = write("data.jsonl", {"negative": 59, "positive": 20, "neutral": 20})
    (found,) = check_files(data).findings
    assert found.message == "sentiment negative has 59 examples; write at least 60"


def test_a_header_without_a_label_column_is_one_finding(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,category\n" + "hello,a\n" * 3)
    (found,) = check_files(data).findings
    assert found.line == 1
    with pytest.raises(DataError, match=r"known are .*; rename `category` to `intent`"):
        read_examples(data)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.jsonl", b'{"text": "one", "intent": "a"}\n{"text": "two", "intent": b}\n'),
        ("data.jsonl", b'{"text": "one", "intent": "a"}\n{"text": "", "intent": "b"}\n'),
        ("data.jsonl", b'{"text": "one", "intent": "a"}\n{"text": "tw\xf6", "intent": "b"}\n'),
        ("data.jsonl", b'{"text": "one"\n'),
        ("data.csv", b"text,intent\none,oos\nthree,a\ntwo,b,c\n"),
        ("nlu.yml", b"nlu:\n- intent: [a\n"),
    ],
)
def test_rows_that_could_not_be_read_are_not_held_to_be_missing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    data = tmp_path / name
    data.write_bytes(content)
    checked = check_files(data)
    assert len([each for each in checked.findings if each.severity is Severity.ERROR]) == 1
    assert not [each for each in checked.findings if "the only" in each.message]


def test_a_json_mistake_is_told_with_its_column_alone(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "one", "intent": "a"}\n{"text": "two" "intent": "b"}\n')
    (found,) = (each for each in _errors(data) if each.line == 2)
    said = "is not JSON (Expecting ',' delimiter, column 16)"
    assert said in found.message
    with pytest.raises(DataError) as caught:
        read_examples(data)
    assert said in str(caught.value)
