"""No token, password or secret survives on its way into a log or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk import scrubbing
from desk.domain import DeskError
from desk.scrubbing import protect, scrub, scrub_value
from desk.settings import load

BOUNDED = settings(max_examples=100, deadline=None)
TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_known", set())


@pytest.mark.parametrize(
    "text",
    [
        f"https://api.telegram.org/bot{TOKEN}/getMe",
        f"https://api.telegram.org/bot{quote(TOKEN, safe='')}/getMe",
        f"https://proxy/?url={quote(quote(TOKEN, safe=''), safe='')}",
        f"cannot connect ({TOKEN!r})",
        f"{TOKEN}{TOKEN}",
    ],
)
def test_a_bot_token_is_taken_out_in_whatever_form_it_comes(text: str) -> None:
    assert TOKEN.partition(":")[2] not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://desk:hunter22@host/db",
        "postgresql://desk:hun@hunter22@host/db",
        "redis://:hunter22@host:6379/0",
        "rediss://desk:%40hunter22@host:6379/0?ssl_ca_certs=/etc/ca.pem",
        "connection to host=db password=hunter22 failed",
        "{'password': 'hunter22', 'host': 'db'}",
        '{"webhook_secret": "hunter22"}',
        "https://host/db?user=a&password=hunter22&x=1",
        "api_token: hunter22",
    ],
)
def test_a_password_is_taken_out_and_what_stands_around_it_stays(text: str) -> None:
    scrubbed = scrub(text)
    assert "hunter22" not in scrubbed
    assert "***" in scrubbed
    assert "host" in scrubbed or "host" not in text


@pytest.mark.parametrize(
    "text",
    [
        "order 123456789: late",
        "https://example.org/a@b",
        "at 12:30 the token_budget is 2048",
        "tokens: 15",
        "BOT_TOKEN: must look like 123456789:AA… as @BotFather gave it.",
        "the secret of good bread",
    ],
)
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert scrub(text) == text


@BOUNDED
@given(st.text("abcXYZ019-_./@%: é", min_size=6, max_size=40), st.text(max_size=20), st.text())
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    protect(secret)
    assert secret not in scrub(before + secret + after) or secret in "***"
    assert quote(secret, safe="") not in scrub(f"x{quote(secret, safe='')}x")


@pytest.mark.parametrize(
    "form",
    [
        r"p\"a'ss/w ö%",
        "p%22a%27ss%2fw%20%c3%b6%25",
        "p%22a%27ss%2Fw+%C3%B6%25",
        r"p\"a'ss/w \u00f6%",
    ],
)
def test_a_known_secret_is_found_as_addresses_json_and_errors_write_it(form: str) -> None:
    protect("p\"a'ss/w ö%")
    assert scrub(f"before {form} after") == "before *** after"


def test_of_two_known_secrets_one_inside_the_other_nothing_is_left() -> None:
    protect("middle", *(f"{letter}middle{letter}end" for letter in "abcdefgh"))
    for letter in "abcdefgh":
        assert scrub(f"{letter}middle{letter}end") == "***"


def test_a_field_that_is_a_secret_by_its_name_is_taken_out() -> None:
    kept = "plum"  # short and unknown: only the name of its field tells
    given = {
        "db": {"password": kept, "port": 1},
        "webhook_secret": kept.encode(),
        "token_budget": 9,
    }
    assert scrub_value(given) == {
        "db": {"password": "***", "port": 1},
        "webhook_secret": "***",
        "token_budget": 9,
    }


ATOMS = st.just(TOKEN) | st.text(max_size=5) | st.integers() | st.none()
NESTED = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@BOUNDED
@given(NESTED)
def test_a_token_is_found_however_deep_it_lies(value: object) -> None:
    assert TOKEN not in json.dumps(scrub_value(value))


def test_bytes_exceptions_and_other_objects_are_scrubbed_too() -> None:
    for value in (TOKEN.encode(), RuntimeError(TOKEN), {"a": (TOKEN,), TOKEN: {TOKEN}}):
        assert TOKEN not in str(scrub_value(value))


def test_the_settings_know_their_secrets() -> None:
    loaded = load(
        _env_file=None,
        bot_token=TOKEN,
        webhook_url="https://desk.example",
        webhook_secret="whsecret",
        database_url="postgresql://desk:p%40ssword1@db/desk",
        redis_url="redis://:r3dispass@redis:6379/0",
    )
    assert set(loaded.secrets()) == {TOKEN, "whsecret", "p%40ssword1", "p@ssword1", "r3dispass"}


@pytest.mark.parametrize("name", ["bot_token", "webhook_secret"])
def test_a_wrong_secret_is_not_quoted_by_the_error_that_refuses_it(name: str) -> None:
    with pytest.raises(DeskError) as told:
        load(_env_file=None, **{name: "pla!nly wrong\n"})
    assert "pla!nly" not in str(told.value)


PROGRAM = f"""
import logging, structlog
from desk.logs import configure
from desk.scrubbing import protect
configure("bot")
protect("whsecret")
log = structlog.get_logger("x")
log.warning("nested", url=["bot{TOKEN}"], given={{"h": "whsecret"}}, raw=b"{TOKEN}")
log.warning("error", error=ValueError("{TOKEN}"))
logging.getLogger("y").warning("with %s and %r", "whsecret", {{"t": "{TOKEN}"}})
try:
    raise RuntimeError("postgresql://a:hunter22@h/d {TOKEN}") from ValueError("whsecret")
except RuntimeError:
    logging.getLogger("z").exception("broken")
    log.exception("broken_too")
"""


def test_no_line_of_a_process_has_a_secret_in_any_of_its_fields() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 5
    for secret in (TOKEN, "whsecret", "hunter22"):
        assert secret not in done.stderr
    assert lines[0]["given"] == {"h": "***"}
