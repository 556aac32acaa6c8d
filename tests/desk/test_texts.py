"""The desk's own words: the same keys and variables in each language, and none forgotten."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fluent.syntax import FluentParser
from fluent.syntax import ast as ftl
from fluent.syntax.visitor import Visitor

from desk import domain, policy
from desk.texts import LANGUAGES, LOCALES, say

ROOT = Path(__file__).parents[2]
CODE = [
    path for folder in ("desk", "bot", "workers", "cli") for path in (ROOT / folder).rglob("*.py")
]
RULES = [
    value
    for name, value in vars(policy).items()
    if name.isupper() and isinstance(value, str) and re.fullmatch("[a-z_]+", value)
]
DYNAMIC = ("rule-", "sentiment-", "command-", "card-", "reply-place-")


class _Variables(Visitor):
    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_VariableReference(self, node: ftl.VariableReference) -> None:  # noqa: N802
        self.names.add(node.id.name)


def _texts(language: str) -> dict[str, set[str]]:
    """Each key with its variables."""
    source = (LOCALES / f"{language}.ftl").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for entry in FluentParser().parse(source).body:
        assert not isinstance(entry, ftl.Junk), f"{language}.ftl: {entry.content}"
        if isinstance(entry, ftl.Message):
            assert entry.id.name not in found, f"{entry.id.name} stands twice in {language}.ftl"
            variables = _Variables()
            variables.visit(entry)
            found[entry.id.name] = variables.names
    return found


def _said() -> set[str]:
    """Every key that the code gives to `say` (or holds ready in a variable) as a literal."""
    keys = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"):
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant):
                keys.add(first.value)
    return keys


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_keys_and_variables(language: str) -> None:
    english, other = _texts("en"), _texts(language)
    assert other.keys() == english.keys()
    # A language without plurals needs no selector, but nothing may be left unsaid.
    assert other == english


def test_every_key_that_the_code_says_exists() -> None:
    said = _said()
    assert len(said) > 20
    assert said <= _texts("en").keys()


def test_every_text_is_used_somewhere() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in CODE)
    unused = [
        key
        for key in _texts("en")
        if f'"{key}"' not in code and f"'{key}'" not in code and not key.startswith(DYNAMIC)
    ]
    assert unused == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_policy_has_its_words(language: str, rule: str) -> None:
    assert say(f"rule-{rule}", language)


def test_the_rules_were_found() -> None:
    assert {policy.CONFIDENT, policy.LATE, policy.NOT_CLASSIFIED} <= set(RULES)
    assert len(RULES) >= 15


@pytest.mark.parametrize("mood", ["negative", "neutral", "positive"])
def test_every_sentiment_has_its_word(mood: str) -> None:
    assert say(f"sentiment-{mood}", "zh") != say(f"sentiment-{mood}", "en")


def test_a_language_that_is_not_here_gets_english() -> None:
    assert say("thumb-thanks", "fr-CA") == say("thumb-thanks") == "Thank you!"
    assert say("thumb-thanks", "zh-hant") == "谢谢您的反馈！"


def test_chinese_asks_for_no_plural_that_it_does_not_have() -> None:
    """In it each number is "other": what stands under [one] is never said."""
    assert "[one]" not in (LOCALES / "zh.ftl").read_text(encoding="utf-8")
    said = {
        count: say(
            *("waiting-digest-priority", "zh"),
            count=count,
            urgent=1,
            customer="小王",
            title="火灾",
            span="3 分钟",
        )
        for count in (1, 2)
    }
    assert said[1] == "🚨 小王 在等待，事情紧急：“火灾”，已等 3 分钟。"
    assert "其中 1 位事情紧急。紧急客户中等得最久的是 小王" in said[2]


@pytest.mark.parametrize(
    ("language", "words"), [("en", "here or in other topics"), ("zh", "在这里和其他话题中")]
)
@pytest.mark.parametrize("key", ["operators-only", "anonymous-admin"])
def test_who_may_not_act_reads_that_nothing_is_sent_in_any_topic(
    key: str, language: str, words: str
) -> None:
    text = say(key, language, user="4294967296")
    assert words in text
    assert key == "anonymous-admin" or len(text) <= 200, "it answers presses, too"


def test_plurals_are_right() -> None:
    assert say("card-quiet", "en", hours=1) == "closed after a quiet hour"
    assert say("card-quiet", "en", hours=24) == "closed after 24 quiet hours"


def test_values_carry_no_invisible_marks() -> None:
    assert "\u2068" not in say("card-taken", "en", operator="Olga")


def test_an_unknown_key_and_a_missing_value_are_errors() -> None:
    with pytest.raises(KeyError):
        say("no-such-text")
    with pytest.raises(ValueError, match="card-taken"):
        say("card-taken", "en")


def test_the_vocabulary_fits_into_its_columns() -> None:
    for enum in (domain.Action, domain.DeliveryState, domain.FeedbackKind, domain.RunState):
        assert max(map(len, enum)) <= 16
    assert max(map(len, RULES)) <= 32
