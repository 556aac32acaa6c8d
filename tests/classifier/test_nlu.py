"""Rasa's nlu.yml as a file of examples."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from classifier import nlu
from classifier.data import DataError, Example, read_examples, read_placed

PROJECT = """\
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hey
    # said in the morning
    - good morning [Sara](name), from [LA]{"entity": "city", "role": "from"}

    -  fly to [SF][{"entity": "city"}, {"entity": "airport"}]
- intent: faq/ask_hours
  examples:
  - text: |
      open on sundays?
    metadata:
      sentiment: neutral
  - when do you [close](time:closing)
- synonym: savings
  examples: |
    - pink pig
- regex: zipcode
  examples: |
    - [0-9]{5}
- lookup: city
  examples: |
    - Berlin
- intent: yes
  examples: "- sure"
"""


def write(tmp_path: Path, content: str | bytes, name: str = "nlu.yml") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_examples_are_read_without_the_marks_of_entities(tmp_path: Path) -> None:
    assert read_examples(write(tmp_path, PROJECT)) == [
        Example("hey", "greet"),
        Example("good morning Sara, from LA", "greet"),
        Example("fly to SF", "greet"),
        Example("open on sundays?", "faq/ask_hours", "neutral"),
        Example("when do you close", "faq/ask_hours"),
        Example("sure", "yes"),
    ]


def test_the_metadata_of_an_intent_are_those_of_its_examples(tmp_path: Path) -> None:
    content = """\
nlu:
- intent: complaint
  metadata: {sentiment: negative, owner: Ann}
  examples: |
    - it is late
- intent: chat
  metadata: {sentiment: neutral}
  examples:
  - how are you
  - {text: you rock, metadata: {sentiment: positive}}
"""
    assert read_examples(write(tmp_path, content)) == [
        Example("it is late", "complaint", "negative"),
        Example("how are you", "chat", "neutral"),
        Example("you rock", "chat", "positive"),
    ]


def test_an_example_knows_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, PROJECT, "nlu.yaml")
    lines = PROJECT.splitlines()
    places = {example.text: int(where.rpartition(":")[2]) for where, example in read_placed(path)}
    for text, words in {
        "hey": "- hey",
        "fly to SF": "fly to",
        "open on sundays?": "- text",
    }.items():
        assert words in lines[places[text] - 1]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_without_a_version_and_with_a_byte_order_mark_is_read(
    tmp_path: Path, newline: str
) -> None:
    content = "nlu:\n- intent: greet\n  examples: |\n    - hallo\n".replace("\n", newline)
    path = write(tmp_path, b"\xef\xbb\xbf" + content.encode())
    assert read_examples(path) == [Example("hallo", "greet")]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("", 1, "the file is empty"),
        ("- a\n- b\n", 1, "must be a mapping"),
        ("version: '3.1'\nstories: []\n", 1, "no `nlu` here"),
        ("nlu:\n- intent: [a\n", 3, "is not YAML"),
        ("nlu:\n- greet\n", 2, "write `- intent: …`"),
        ("nlu: greet\n", 1, "must be a list"),
        ("nlu:\n- intents: greet\n", 2, "no intent, synonym, regex or lookup"),
        ("nlu:\n- intent:\n  examples: '- a'\n", 2, "has no name"),
        ("nlu:\n- intent: a\n  examples: |\n    - x\n    y\n", 5, "does not begin with -"),
        ("nlu:\n- intent: a\n  examples:\n  - - x\n", 4, "an example is a text"),
        ("nlu:\n- intent: a\n  examples:\n  - text: [x]\n", 4, "`text` must be a text"),
        ("nlu:\n- intent: a\n  examples:\n  - metadata: {}\n", 4, "no `text`"),
        ("nlu:\n- intent: a\n  examples:\n  - text: ''\n", 4, "the text is empty"),
        (
            "nlu:\n- intent: a\n  examples:\n  - {text: x, metadata: {sentiment: cross}}\n",
            4,
            "unknown sentiment 'cross'",
        ),
        ("nlu: []\nversion: 3\nnlu: []\n", 3, "`nlu` stands here a second time"),
        ("nlu:\n- intent: a\n  examples: |\n    - x\a\n", 4, "a character that YAML does not"),
        ("nlu: " + "[" * 5000 + "]" * 5000, 1, "nest"),
        ("--- a\n--- b\n", 2, "is not YAML"),
    ],
)
def test_a_bad_file_is_told_with_its_line(
    tmp_path: Path, content: str, line: int, says: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_examples(write(tmp_path, content))
    assert f"nlu.yml:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_a_file_without_an_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no examples"):
        read_examples(write(tmp_path, "version: '3.1'\nnlu:\n- intent: greet\n  examples:\n"))


def test_a_file_whose_aliases_blow_it_up_is_refused(tmp_path: Path) -> None:
    lines = "".join(f"    - text {number}\n" for number in range(1000))
    section = f"nlu:\n- &all\n  intent: a\n  examples: |\n{lines}"
    assert len(read_examples(write(tmp_path, section + "- *all\n" * 9))) == 10_000
    with pytest.raises(DataError, match=r"nlu.yml:\d+: its aliases make it far larger"):
        read_examples(write(tmp_path, section + "- *all\n" * 3000))


def test_nothing_in_a_file_is_constructed(tmp_path: Path) -> None:
    path = write(tmp_path, "nlu:\n- intent: !!python/object:os.system a\n  examples: '- x'\n")
    assert read_examples(path) == [Example("x", "a")]


texts = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
labels = st.text(st.characters(categories=["L", "N"], include_characters="_/ -"), min_size=1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            texts,
            labels.map(str.strip).filter(bool),
            st.sampled_from([None, "neutral", "negative"]),
        ),
        min_size=1,
    )
)
@example([("[a](b) is no entity", "x", None), ("yes", "no", None), ("null", "1", "neutral")])
@example([("- a\n\n  b: c", "x", None), ("# no comment", "x", None), ("🌿\u2028\x85d", "y", None)])
@example([("\ufeffa\tb\x7f\x9f\ufffe", "x", None), ("a\r\nb", "y", None), ("-", "z", None)])
def test_what_is_written_is_read_again(rows: list[tuple[str, str, str | None]]) -> None:
    read = [
        (row["text"].strip(), row["intent"], row.get("sentiment"))
        for _, row in nlu.rows(nlu.dump(rows))
    ]
    grouped = {intent: [row for row in rows if row[1] == intent] for _, intent, _ in rows}
    assert read == [row for few in grouped.values() for row in few]


def test_texts_of_one_line_are_written_as_rasas_users_write_them() -> None:
    written = nlu.dump([("hello", "greet", None), ("good day", "greet", None)])
    assert written.endswith("- intent: greet\n  examples: |\n    - hello\n    - good day\n")


MARKED = re.compile(
    r"""\[(?P<text>[^\]]+)\]
        (?: \([^):]+(?::[^)]+)?\) | \{[^}]+\} | \[\s*\{[^\]]*\}\s*\] )""",
    re.VERBOSE,
)
"""What a mark is, in short; to look for it so takes minutes in a text made to hurt."""


@settings(max_examples=400, deadline=None)
@given(st.text(st.sampled_from("[]{}(): ab\n\x85"), max_size=30))
@example("[a](b) [c](d:e) [f]{g} [h][{i}, {j}] [k][ {} ] [l](m:n:o)")
@example("[a]() [b](:c) [d](e:) [f]{} [g][] [h][{] [i][}] [] [j [k](l)]")
def test_any_text_loses_the_marks_of_its_entities_and_nothing_else(text: str) -> None:
    assert nlu.plain(text) == MARKED.sub(lambda mark: mark["text"], text)


@pytest.mark.parametrize(
    "part", ["[", "[a](", "[a](b:", "[a]{", "[a][{", "[a][{} ", "[]", "[a](b", "[a](:)[", "]["]
)
def test_a_text_of_brackets_that_never_close_is_read_at_once(part: str) -> None:
    begun = time.process_time()
    nlu.plain(part * 100_000)
    nlu.plain(part * 100_000 + ":)")
    assert time.process_time() - begun < 3
