from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from classifier.data import (
    MAX_CHARACTERS,
    DataError,
    Example,
    content_hash,
    csv_header,
    dump_csv,
    dump_jsonl,
    read_examples,
    read_placed,
)
from classifier.vocabulary import SENTIMENTS


def write(tmp_path: Path, content: str | bytes, name: str = "data.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def error(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path)
    return str(caught.value)


def test_jsonl_rows_may_carry_either_label_or_both(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"text": " hi ", "intent": "greeting", "sentiment": "Positive"}\n'
        '\n{"text": "ugh", "sentiment": "negative"}\n{"text": "bye", "label": "goodbye"}\n',
    )
    assert read_examples(path) == [
        Example("hi", "greeting", "positive"),
        Example("ugh", None, "negative"),
        Example("bye", "goodbye", None),
    ]


def test_a_row_of_jsonl_may_measure_no_model_and_stays_so(tmp_path: Path) -> None:
    path = write(tmp_path, '{"text": "hi", "intent": "a", "measures": false}\n')
    (read,) = read_examples(path)
    assert read == Example("hi", "a", measures=False)
    assert dump_jsonl([read]) == path.read_text()
    odd = write(tmp_path, '{"text": "hi", "intent": "a", "measures": 0}\n')
    assert "`measures` is 0; it must be true or false" in error(odd)


def test_a_row_of_jsonl_may_be_private_and_stays_so(tmp_path: Path) -> None:
    path = write(tmp_path, '{"text": "hi", "intent": "a", "private": true}\n')
    (read,) = read_examples(path)
    assert read == Example("hi", "a", private=True)
    assert dump_jsonl([read]) == path.read_text()
    odd = write(tmp_path, '{"text": "hi", "intent": "a", "private": "yes"}\n')
    assert "`private` is 'yes'; it must be true or false" in error(odd)
    csv_file = write(tmp_path, "text,intent,private\nhi,a,true\n", "data.csv")
    assert "unknown column `private`" in error(csv_file)


def test_csv_with_a_byte_order_mark_and_a_quoted_line_break_is_read(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfText,label,sentiment\r\n"hi,\nthere",greeting,\r\nugh,,negative\r\n'
    assert read_examples(write(tmp_path, content, "data.csv")) == [
        Example("hi,\nthere", "greeting", None),
        Example("ugh", None, "negative"),
    ]


def test_a_csv_with_spaces_after_its_commas_is_read_without_them(tmp_path: Path) -> None:
    content = 'text, intent\n"hello, you", "greeting"\n  hi, greeting\n'
    assert read_examples(write(tmp_path, content, "data.csv")) == [
        Example("hello, you", "greeting"),
        Example("hi", "greeting"),
    ]


def test_empty_columns_without_a_name_as_spreadsheets_leave_them_are_passed_over(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, ";Text;Label;;\n;a;x;;\n;b;y; ;\n", "data.csv")
    assert read_examples(path) == [Example("a", "x"), Example("b", "y")]


def test_a_line_separator_inside_a_json_string_is_no_end_of_line(tmp_path: Path) -> None:
    path = write(tmp_path, '{"text": "a\u2028b", "intent": "x"}\n')
    assert read_examples(path)[0].text == "a\u2028b"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.jsonl: there is no such file" in error(tmp_path / "nowhere.jsonl")


def test_a_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in error(tmp_path)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    assert "no examples" in error(write(tmp_path, content))


def test_a_csv_with_a_header_alone_is_refused(tmp_path: Path) -> None:
    assert "no examples" in error(write(tmp_path, "text,label\n", "data.csv"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "a"', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["a", "b"]', "is not a JSON object"),
        ('{"text": "a", "intent": "x", "intent": "y"}', "'intent' stands twice in it"),
        ('{"text": "a", "intent": "x", "intention": "y"}', "unknown column `intention`"),
        ('{"intent": "x"}', "has no `text`"),
        ('{"text": "  ", "intent": "x"}', "the text is empty"),
        ('{"text": 5, "intent": "x"}', "`text` is 5; it must be a string"),
        ('{"text": "a", "label": 3}', "`label` is 3; it must be a string"),
        ('{"text": "a"}', "neither an intent nor a sentiment"),
        ('{"text": "a", "intent": "x", "label": "y"}', "`intent` and `label` differ"),
        ('{"text": "a", "sentiment": "meh"}', "unknown sentiment 'meh'"),
        ('{"text": "a\\u0000b", "intent": "x"}', "NUL character"),
        ('{"text": "a\\ud83d", "intent": "x"}', "surrogate"),
    ],
)
def test_a_bad_json_row_is_told_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    message = error(write(tmp_path, '{"text": "fine", "intent": "x"}\n\n' + line + "\n"))
    assert "data.jsonl:3: " in message
    assert says in message


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("text,labels\na,b\n", 1, "unknown column `labels`"),
        ("how much,price\n", 1, "known are `text`, `intent`, `label`, `sentiment`; is the first"),
        ("intent,sentiment\na,neutral\n", 1, "no column `text`"),
        ("text,text\na,b\n", 1, "names a column twice"),
        ("text,label,\na,x,\nb,x,y\n", 3, "column 3 has no name; name it in the header"),
        (",text,label\n0,a,x\n", 2, "column 1 has no name; name it in the header"),
        ('text,label\n"two\nlines",x\na,b,c\n', 4, "has 3 cells where the header has 2"),
        ('text,label\na,x\n"open,x\n', 3, "is not CSV"),
        ("text,label\na,x\n,x\n", 3, "the text is empty"),
        ("text,sentiment\na,neutral\nb,bad\n", 3, "unknown sentiment 'bad'"),
        ("text,sentiment\na,angry\n", 2, "negative, neutral, positive; write negative"),
        (
            "Message;Category;Mood\na;b;c\n",
            1,
            "; rename `message` to `text`, `category` to `intent`, `mood` to `sentiment`",
        ),
        ("Text;Label;Category\na;b;c\n", 1, "known are `text`, `intent`, `label`, `sentiment`"),
    ],
)
def test_a_bad_csv_row_is_told_with_its_line(
    tmp_path: Path, content: str, line: int, says: str
) -> None:
    message = error(write(tmp_path, content, "data.csv"))
    assert f"data.csv:{line}: " in message
    assert says in message


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
def test_a_nul_byte_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    assert f"{name}:2: holds a NUL byte" in error(write(tmp_path, b"text\na\0b\n", name))


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    content = '{"text": "a", "intent": "x"}\n{"text": "café", "intent": "x"}\n'.encode("latin-1")
    assert "data.jsonl:2: is not UTF-8 (byte 0xe9)" in error(write(tmp_path, content))


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
def test_a_text_over_the_limit_is_cut(tmp_path: Path, name: str) -> None:
    text = "a" * (MAX_CHARACTERS + 50_000)
    row = f'{{"text": "{text}", "intent": "x"}}' if name.endswith("l") else f"text,intent\n{text},x"
    assert len(read_examples(write(tmp_path, row, name))[0].text) == MAX_CHARACTERS


def test_texts_without_labels_are_read_where_none_are_asked_for(tmp_path: Path) -> None:
    assert read_examples(write(tmp_path, '{"text": "a"}'), labelled=False) == [Example("a")]


def test_the_content_hash_follows_content_and_not_order() -> None:
    first, second = Example("a", "x"), Example("b", None, "neutral")
    assert content_hash([first, second]) == content_hash([second, first])
    assert content_hash([first]) != content_hash([first, first])
    assert content_hash([Example("a", "neutral")]) != content_hash([Example("a", None, "neutral")])


TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
EXAMPLES = st.lists(
    st.builds(Example, TEXTS, TEXTS, st.sampled_from([None, *SENTIMENTS])), min_size=1
)
TRICKY = [
    Example('she said "no", twice\nand left; 🙂🇩🇪', "a,b"),
    Example("a\r\nb\rc\u2028d\x85e", "x", "negative"),
    Example("=1+1", "@x"),
    Example("''=1", "'"),
    Example("'quoted'", "x"),
    Example("hi;=1\t=1;thanks", "x"),
]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(EXAMPLES)
@example(TRICKY)
def test_examples_survive_jsonl_and_csv(tmp_path: Path, examples: list[Example]) -> None:
    assert read_examples(write(tmp_path, dump_jsonl(examples))) == examples
    assert read_examples(write(tmp_path, dump_csv(examples), "data.csv")) == examples


def test_what_is_not_known_of_an_example_is_not_written(tmp_path: Path) -> None:
    examples = [Example("a", "x"), Example("b", None, "neutral")]
    assert dump_jsonl(examples) == (
        '{"text": "a", "intent": "x"}\n{"text": "b", "sentiment": "neutral"}\n'
    )
    assert read_examples(write(tmp_path, dump_csv(examples), "data.csv")) == examples


@pytest.mark.parametrize("before", ["", "\n", "\r", "\t"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝"])
def test_no_cell_of_a_written_csv_begins_like_a_formula(
    tmp_path: Path, before: str, sign: str
) -> None:
    written = dump_csv([Example(f"{before}{sign}cmd", f"{before}{sign}x")])
    assert written.endswith(f'\r\n"\'{before}{sign}cmd","\'{before}{sign}x",""\r\n')
    assert read_examples(write(tmp_path, written, "data.csv")) == [
        Example(f"{before}{sign}cmd".strip(), f"{sign}x")
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_no_part_of_a_text_is_a_cell_where_a_spreadsheet_separates_otherwise(
    separator: str,
) -> None:
    text = f"hi{separator}=cmd|'/C calc'!A0{separator}thanks"
    written = dump_csv([Example(text, "x")])
    for cells in csv.reader(io.StringIO(written, newline=""), delimiter=separator):
        assert not any(cell.startswith("=") for cell in cells)


COMMAS = "separate the columns with commas, as in text,intent,sentiment"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("data.csv", "text|label\na|b\n", COMMAS),
        ("data.txt", "text|label\na|b\n", f"{COMMAS}, and name the file .csv"),
        ("data.tsv", "text\tlabel\na\tb\n", "this is CSV; name the file .csv"),
        ("data.txt", '"Text";"label"\n"a";"b"\n', "this is CSV; name the file .csv"),
        ("data.txt", "text,label\na,b\n", "this is CSV; name the file .csv"),
        ("data.jsonl", "intent,text\na,b\n", "this is CSV; name the file .csv"),
        ("data.json", '[\n  {"text": "a", "intent": "b"}\n]\n', "write one object a line"),
        ("data.json", '[{"text": "a", "intent": "b"}]\n', "write one object a line"),
        ("data.txt", "hello\tgreeting\n", "it is .jsonl (one JSON object a line), .csv"),
    ],
)
def test_a_common_format_that_is_not_read_is_told_with_what_to_do(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    message = error(write(tmp_path, content, name))
    assert f"{name}:1: " in message
    assert says in message


@pytest.mark.parametrize(
    "content",
    [
        'text;Label\n"a; b, c";x\nd,x;y\n',
        '\ufeff"text";"label"\r\n"a; b, c";"x"\r\n"d,x";"y"\r\n',
        "text\tlabel\na; b, c\tx\nd,x\ty\n",
        'sep=;\r\ntext;label\r\n"a; b, c";x\r\nd,x;y\r\n',
        '\ufeff"sep=\t"\n\ntext\tlabel\n"a; b, c"\tx\nd,x\ty\n',
        'sep=,\ntext,label\n"a; b, c",x\n"d,x",y\n',
        'sep=; ;\ntext;label\n"a; b, c";x\nd,x;y\n',
        'text;"label";"sentiment"\n"a; b, c";x;\nd,x;y;\n',
    ],
)
def test_a_csv_is_read_with_the_separator_that_its_header_shows(
    tmp_path: Path, content: str
) -> None:
    found = read_examples(write(tmp_path, content, "data.csv"))
    assert found == [Example("a; b, c", "x"), Example("d,x", "y")]


def test_the_names_of_a_header_decide_which_separator_it_shows(tmp_path: Path) -> None:
    message = error(write(tmp_path, "text;intent;notes, if any\na;b;c\n", "data.csv"))
    assert "unknown column `notes, if any`" in message
    message = error(write(tmp_path, "text,intent;x\na,b\n", "data.csv"))
    assert "rename" not in message, "it mixes them"
    message = error(write(tmp_path, "text;intent\na;b;c\n", "data.csv"))
    assert "put a text with semicolons in double quotes" in message


@pytest.mark.parametrize("name", ["data.csv", "data.xlsx", "data.jsonl"])
def test_a_workbook_is_told_with_what_to_do(tmp_path: Path, name: str) -> None:
    said = "this is an Excel workbook or a zip file; save it as CSV UTF-8"
    assert said in error(write(tmp_path, b"PK\x03\x04\x14\0\x06\0", name))


def test_jsonl_may_have_any_name_and_a_csv_any_signs_after_its_header(tmp_path: Path) -> None:
    for text in ("a, b; c", "can you call, text, or email me?", "a; text; b"):
        row = f'{{"text": "{text}", "intent": "x"}}\n'
        for name in ("data.txt", "data.jsonl"):
            assert read_examples(write(tmp_path, row, name)) == [Example(text, "x", None)]
    assert read_examples(write(tmp_path, "\n text ,label\na; b\tc,x\n", "data.csv")) == [
        Example("a; b\tc", "x", None)
    ]


def test_each_example_comes_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, 'text,label\n"two\nlines",x\nb,y\n', "data.csv")
    assert [where for where, _ in read_placed(path)] == [f"{path}:2", f"{path}:4"]


def test_a_csv_headers_names_are_read_alone(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf\r\n Short_Code ,content\r\nx,y\r\n", "data.csv")
    assert csv_header(path) == ["short_code", "content"]
    assert csv_header(write(tmp_path, "", "data.csv")) == []
