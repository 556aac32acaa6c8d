"""What YAML from outside may hold, and what our own looks like."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import yaml

from classifier.yaml_text import YamlLimitError, check, dump

LAUGHS = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")
)


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (LAUGHS, 7, "its aliases make it far larger"),
        (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 12)}]", 2, "its aliases make it"),
        ("a:\n- &a\n  b: [*a]", 3, "the alias *a stands within itself"),
        ("a: &track x\nb: *trak", 2, "there is no &trak for *trak"),
        ("a: *a", 1, "there is no &a for *a"),
        ("a: 1\nb: " + "[" * 60, 2, "it is nested too deeply"),
    ],
)
def test_what_would_outgrow_its_text_is_refused_with_its_line(
    text: str, line: int, says: str, loader: type
) -> None:
    with pytest.raises(YamlLimitError, match=re.escape(says)) as caught:
        check(text, loader)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: c}\n" + "".join(f"a{number}: *a\n" for number in range(10_000)),
        f"a: &a {'x' * 300_000}\nb: [*a, *a, *a]",
        "[" + "x," * 600_000 + "]",
        f"- {'x' * 2_000_000}",
        "a: " + "[" * 40 + "]" * 40,
    ],
)
def test_what_is_only_long_is_not(text: str) -> None:
    check(text)


def test_a_text_of_several_lines_is_a_block_and_keys_keep_their_order() -> None:
    assert dump({"b": "one\ntwo\n", "a": "é"}) == "b: |\n  one\n  two\na: é\n"


@pytest.mark.parametrize(
    "text", ["\n", "a\n\n", "a\rb\n", "a\x85b", "\u2028", "yes", "1", " a\n b"]
)
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    written = dump({"a": text})
    assert yaml.safe_load(written) == {"a": text}
    assert "..." not in written
