"""Settings: what a wrong one gets to hear, and that the documentation knows them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import make_url

from desk.domain import DeskError
from desk.settings import PackSettings, Settings, load, load_part

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine, and no .env of the checkout."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_there_are_defaults_that_work() -> None:
    settings = load()
    assert settings.bot_token is None
    assert settings.database == "sqlite:///data/simulator.db"
    assert settings.pack_dir == Path("packs/retail")
    assert settings.retrain_at == "03:00"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BOT_TOKEN", "hello", "must look like 123456789:AA… as @BotFather gave it"),
        ("BOT_TOKEN", "abc:AAabcdefghijklmnopqrstuvwxyz", "must look like 123456789"),
        ("OPERATOR_CHAT_ID", "1234567890", "/id in the group tells its id, which begins with"),
        ("OPERATOR_CHAT_ID", "@mygroup", "write a whole number. (Id of the operators' supergroup"),
        ("TELEGRAM_API_URL", "api.telegram.org", "must start with http:// or https://"),
        ("WEBHOOK_URL", "bot.example.org", "must start with http:// or https://"),
        ("WEBHOOK_URL", "https://bot.example.org", "needs WEBHOOK_SECRET beside it"),
        ("WEBHOOK_URL", "https://bot.example.org/?x=1", "must end with its path"),
        ("WEBHOOK_URL", "https://bot.example.org/desk#1", "must end with its path"),
        ("WEBHOOK_URL", "https://bot.example.org/{id}", "must end with its path"),
        ("WEBHOOK_URL", "https://bot.example.org/%7Bid", "must end with its path"),
        ("WEBHOOK_SECRET", "with spaces", "must be 1 to 256 characters of A-Z"),
        ("WEBHOOK_PORT", "0", "greater than or equal to 1"),
        ("WEBHOOK_PORT", "http", "write a whole number"),
        ("REDIS_URL", "localhost:6379", "must start with redis://, rediss:// or unix://"),
        ("REDIS_URL", "redis://[bad", "REDIS_URL: can't be read; in its user and password write /"),
        ("DATABASE_URL", "postgresql://[bad", "DATABASE_URL: can't be read"),
        ("DEVICE", "gpu", "'gpu' won't do. (auto, cpu, cuda or cuda:N.)"),
        ("MAX_BATCH", "0", "greater than or equal to 1"),
        ("MAX_BATCH", "many", "write a whole number"),
        ("REPLY_DEADLINE", "0", "greater than 0"),
        ("REPLY_DEADLINE", "abc", "write a number. (Seconds a message may wait"),
        ("REPLY_DEADLINE", "2,5", "write a number with a point: 2.5."),
        ("SIMULATOR_PORT", "70000", "less than or equal to 65535"),
        ("RETRAIN_AT", "3am", "'3am' won't do. (Time of the nightly retraining (UTC, HH:MM)"),
        ("RETRAIN_AT", "24:00", "'24:00' won't do."),
        ("AUTO_PROMOTE", "perhaps", "write true or false. (Whether a run's model that the gate"),
        ("LOG_LEVEL", "loud", "'loud' won't do. (Level of the JSON log: DEBUG"),
    ],
)
def test_each_wrong_setting_gets_its_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DeskError) as caught:
        load()
    text = str(caught.value)
    assert text.startswith("Some settings are wrong (see docs/settings.md):\n")
    assert name in text
    assert message in text


@pytest.mark.parametrize(
    "content",
    ["# Schlüssel\nMAX_BATCH=8\n".encode("latin-1"), "MAX_BATCH=8\n".encode("utf-16")],
    ids=["latin-1", "utf-16"],
)
def test_a_file_in_another_encoding_gets_its_sentence(content: bytes) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(DeskError, match=r"^\.env is not in UTF-8 .* save it in that encoding\.$"):
        load()


NUMERIC = [
    name.upper()
    for name, field in Settings.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)}
]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e12", "1000000000000", "9" * 400])
@pytest.mark.parametrize("name", NUMERIC)
def test_no_number_is_so_large_or_odd_that_it_fails_only_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DeskError) as caught:
        load()
    _, told = str(caught.value).splitlines()
    assert re.match(rf"  {name}: (write a (whole )?number|Input should be less than .*\d)\. ", told)


def test_the_longest_deadline_can_be_counted_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLY_DEADLINE", "3600")
    assert load().reply_deadline == 3600
    monkeypatch.setenv("REPLY_DEADLINE", "3601")
    with pytest.raises(DeskError, match="less than or equal to 3600"):
        load()


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL"])
@pytest.mark.parametrize(
    "password", ["hunter/2", "12/hunter", "hunter#2", "12#hunter", "12?hunter"]
)
def test_a_password_that_cuts_an_address_in_two_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch, name: str, password: str
) -> None:
    scheme = "redis" if name == "REDIS_URL" else "postgresql"
    monkeypatch.setenv(name, f"{scheme}://user:{password}@host/0")
    with pytest.raises(DeskError) as caught:
        load()
    assert "%2F" in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:{}@host/0?family=0",
        "redis://user:{}@host/0?ssl_ca_certs=/etc/ca.pem",  # of rediss:// alone
        "redis://user:{}@host/0?socket_timeout=soon",
        "redis://user:{}@host/0?protocol=9",
        "rediss://user:{}@host/0?ssl_cert_reqs=maybe",
        "redis://host/0?password={}&family=0",
    ],
)
def test_an_option_that_redis_does_not_take_is_refused_without_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url.format("hunter2"))
    with pytest.raises(DeskError, match="REDIS_URL: has an option after its `\\?`") as caught:
        load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://user:p%2Fw%40@host:6379/0?protocol=3"),
        ("REDIS_URL", "unix://user:pw@/run/redis.sock?db=1"),
        ("REDIS_URL", "unix:///run/redis@1.sock"),
        ("REDIS_URL", "rediss://user:pw@host/0?ssl_ca_certs=/etc/ca.pem&socket_timeout=5"),
        ("DATABASE_URL", "postgresql://user:p%2Fw@host/desk?sslmode=require"),
        ("DATABASE_URL", "postgresql://host/desk?user=me&password=p@ss"),
        ("DATABASE_URL", "sqlite:////data/at@home.db"),
    ],
)
def test_an_address_whose_parts_can_be_told_apart_is_taken(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load(), name.lower()) == value


def test_passwords_in_the_options_of_an_address_are_secrets_too() -> None:
    settings = load(
        database_url="postgresql://desk@host/desk?password=first%2Fone&sslpassword=second+one",
        redis_url="rediss://host/0?password=third-one&ssl_password=fourth-one",
    )
    assert settings.secrets() == ["first/one", "second one", "third-one", "fourth-one"]


def test_all_wrong_settings_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "gpu")
    monkeypatch.setenv("MAX_BATCH", "0")
    with pytest.raises(DeskError) as caught:
        load()
    assert len(str(caught.value).splitlines()) == 3


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_TOKEN", "1:hunter2")
    monkeypatch.setenv("WEBHOOK_SECRET", "hunter 2")
    with pytest.raises(DeskError) as caught:
        load()
    assert "hunter" not in str(caught.value)


def test_a_token_is_not_shown_when_settings_are_printed() -> None:
    settings = load(bot_token=TOKEN)
    assert TOKEN not in repr(settings)
    assert settings.bot_token is not None
    assert settings.bot_token.get_secret_value() == TOKEN


def test_settings_come_from_a_file_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MAX_BATCH=8\nLOG_LEVEL=DEBUG\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    settings = load()
    assert (settings.max_batch, settings.log_level) == (8, "ERROR")


@pytest.mark.parametrize(("written", "level"), [("info", "INFO"), ("Warn", "WARNING")])
def test_the_level_of_the_log_is_taken_as_other_programs_write_it(
    monkeypatch: pytest.MonkeyPatch, written: str, level: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", written)
    assert load().log_level == level


def test_an_empty_setting_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_CHAT_ID", "")
    monkeypatch.setenv("MAX_BATCH", "")
    settings = load()
    assert (settings.operator_chat_id, settings.max_batch) == (None, 64)


def test_a_real_bot_does_not_share_its_default_database_with_the_simulator() -> None:
    assert load(bot_token=TOKEN).database == "sqlite:///data/frontdesk.db"
    assert load().database == "sqlite:///data/simulator.db"
    assert load(bot_token=TOKEN, database_url="sqlite:///x.db").database == "sqlite:///x.db"


def test_a_file_in_a_folder_with_signs_of_addresses_is_found_there(tmp_path: Path) -> None:
    odd = tmp_path / "my%20desk? #1 ü"
    address = Settings(data_dir=odd).database
    assert make_url(address).database == str(odd / "simulator.db")


def test_nightly_retraining_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_AT", "off")
    assert load().retrain_at is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_hosting_platforms_database_address_gets_the_right_driver(scheme: str) -> None:
    settings = load(database_url=f"{scheme}://u:p@host/db")
    assert settings.database == "postgresql+psycopg://u:p@host/db"


def test_a_trailing_slash_of_an_address_is_dropped() -> None:
    assert load(telegram_api_url="http://localhost:8081/").telegram_api_url == (
        "http://localhost:8081"
    )


def test_a_pack_is_a_folder_or_a_name_under_packs(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert load(pack="mine").pack_dir == Path("mine")
    assert load(pack="insurance").pack_dir == Path("packs/insurance")
    assert load(pack="/srv/pack").pack_dir == Path("/srv/pack")
    assert load(pack="packs/insurance/pack.yml").pack_dir == Path("packs/insurance")


def test_the_documentation_names_every_setting_with_its_default_and_meaning() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.M))
    expected = {}
    for name, field in Settings.model_fields.items():
        value = str(field.default).lower() if field.default is True else field.default
        default = "–" if value is None else f"`{value}`"
        assert field.description, f"{name} has no description"
        expected[name.upper()] = f"{default} | {field.description}"
    assert rows == expected


def test_a_home_is_found_where_a_shell_has_not_written_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    Path(".env").write_text(
        "DATA_DIR=~/data\nMODELS_DIR=~/models\nPACK=~/pack\nBASE_MODEL=~/bert\n"
        "DATABASE_URL=sqlite:///~/my.db\n"
    )
    settings = load()
    assert settings.data_dir == Path("/home/ada/data")
    assert settings.models_dir == Path("/home/ada/models")
    assert settings.pack_dir == Path("/home/ada/pack")
    assert settings.base_model == "/home/ada/bert"
    assert settings.database == "sqlite:////home/ada/my.db"
    assert load_part(PackSettings).models_dir == settings.models_dir
    assert load(database_url="postgresql://host/~").database == "postgresql+psycopg://host/~"


@pytest.mark.parametrize("line", ["DATA_DIR=~/desk", "DATABASE_URL=sqlite:///~/desk"])
def test_what_a_version_before_made_in_a_folder_called_like_home_is_to_be_moved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    Path(".env").write_text(line)
    Path("~/desk").mkdir(parents=True)
    with pytest.raises(DeskError, match=re.escape(f"made ./~/desk: move it to {home}/desk")):
        load()
    Path("~/desk").rename(home / "desk")
    load()


@pytest.mark.parametrize(
    "line",
    ["DATA_DIR={}", "MODELS_DIR={}", "PACK={}", "BASE_MODEL={}", "DATABASE_URL=sqlite:///{}"],
)
@pytest.mark.parametrize(
    ("path", "message"), [("$HOME/x", "a $ that nothing replaces"), ("a\0b", "NUL")]
)
def test_a_path_that_is_none_is_refused(line: str, path: str, message: str) -> None:
    Path(".env").write_text(line.format(path))
    with pytest.raises(DeskError, match=re.escape(message)):
        load()


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"),
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DeskError, match="DATABASE_URL: must name a file: a database in memory"):
        load(database_url=url)
