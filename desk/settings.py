"""Every setting of Frontdesk, read from the environment (and `.env`) by composition roots only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from desk import mistakes
from desk.domain import FLOOD_PER_MINUTE, DeskError

DEFAULT_PACK = "retail"
PASSWORDS = frozenset({"password", "sslpassword", "ssl_password"})
"""What is secret among the options of an address: PostgreSQL's and Redis's names."""


def sqlite_url(file: Path) -> str:
    """The SQLAlchemy URL of a file, whatever signs its path holds."""
    return f"sqlite:///{quote(str(file))}"


def pack_folder(named: str) -> Path:
    """The folder of a pack that is named by it, by its pack.yml, or by its name under packs/."""
    path = Path(named)
    if path.name == "pack.yml":
        return path.parent
    return path if path.is_dir() or "/" in named else Path("packs") / named


def _place(value: str) -> str:
    """A path as a shell would have read it: in `.env`, as in many another place, `~` is no home
    yet, and would become a folder of that name."""
    if value.startswith("$"):
        raise ValueError("begins with a $ that nothing replaces: write the path, or ~ for home")
    if "\0" in value:
        raise ValueError("has a character that no path has (NUL)")
    place = os.path.expanduser(value)  # noqa: PTH111 - a name such as minilm is no path
    if place != value and os.path.exists(value) and not os.path.exists(place):  # noqa: PTH110
        # Else a desk would begin anew, with an empty database.
        raise ValueError(f"begins with ~: a version before made ./{value}: move it to {place}")
    return place


def _database_url(value: str) -> str:
    scheme, found, path = value.partition(":///")
    address, _, options = value.partition("?")
    of_memory = scheme.startswith("sqlite") and ("mode", "memory") in parse_qsl(options)
    if of_memory or re.fullmatch(r"sqlite(\+\w+)?:(//)?/?(:memory:|file::memory:)?", address):
        raise ValueError("must name a file: a database in memory is each process's own, and lost")
    return f"{scheme}:///{_place(path)}" if found and scheme.startswith("sqlite") else value


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


def _webhook_url(value: str) -> str:
    # Encoded braces, too: aiohttp gets the path decoded, and takes them for a pattern.
    if set("?#") & set(value) or set("{}") & set(unquote(value)):
        raise ValueError("must end with its path, behind which /telegram is put: no ? # { or }")
    return value


def _address(value: str) -> str:
    """An address whose parts are where they seem to be: a password with `/` in it is cut there, and
    what follows would stand in errors and logs."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # reading it checks it
        stray = "@" in parts.path + parts.fragment or "@" in parts.query.partition("=")[0]
    except ValueError:
        stray = True
    if stray and not value.startswith(("sqlite", "unix:///")):  # paths, which may have any name
        raise ValueError(
            "can't be read; in its user and password write / ? # [ ] @ : and % as %2F %3F %23 %5B "
            "%5D %40 %3A and %25"
        )
    return value


def _redis_url(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss:// or unix://")
    _address(value)
    from redis import ConnectionPool, RedisError  # for those alone that have such an address

    try:
        ConnectionPool.from_url(value).make_connection()  # it opens nothing yet
    except (TypeError, ValueError, RedisError):
        # Not their text: that may hold a part of the password.
        raise ValueError(
            "has an option after its `?` that redis-py does not know, or not with that value; "
            "leave it out (those of TLS need rediss://)"
        ) from None
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Part = TypeVar("Part", bound="PackSettings")


class PackSettings(BaseSettings):
    """What says where pack and models are, for who needs no more: any text will do here, so that
    nothing that is set otherwise can be in the way."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    models_dir: Path = Field(Path("models"), description="Where model versions and pointers live.")
    pack: str = Field(
        DEFAULT_PACK, description="A folder with a pack, or the name of one under packs/."
    )
    base_model: str = Field(
        "minilm", description="Encoder to fine-tune: minilm (packaged), a folder, or a hub id."
    )

    # DATA_DIR is not here, but among all settings.
    @field_validator(
        *("data_dir", "models_dir", "pack", "base_model"), mode="before", check_fields=False
    )
    @classmethod
    def _places(cls, value: object) -> object:
        return _place(value) if isinstance(value, str) else value

    @property
    def pack_dir(self) -> Path:
        """The pack's folder; its existence is checked by `desk.pack.load`."""
        return pack_folder(self.pack)


class ModelSettings(PackSettings):
    """And where models compute: what those verbs need that know no desk."""

    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N."
    )


class Settings(ModelSettings):
    """The settings, their defaults and what they mean; docs/settings.md is tested against this."""

    bot_token: SecretStr | None = Field(
        None, description="Token from @BotFather. Without it the simulator plays Telegram."
    )
    operator_chat_id: int | None = Field(
        None,
        gt=-(2**52),
        lt=0,
        description="Id of the operators' supergroup with topics (starts with -100).",
    )
    telegram_api_url: HttpUrl | None = Field(
        None, description="A Bot API server of your own; default: Telegram's."
    )
    webhook_url: Annotated[HttpUrl, AfterValidator(_webhook_url)] | None = Field(
        None, description="Public https address for updates; without it the bot polls."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Secret that Telegram sends with each webhook call; required with one."
    )
    webhook_port: int = Field(
        8443, ge=1, le=65535, description="Port on which the bot listens for webhook calls."
    )
    database_url: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="SQLAlchemy URL; default: SQLite in DATA_DIR, in frontdesk.db "
        "(without BOT_TOKEN in simulator.db).",
    )
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = Field(
        None, description="redis://, rediss:// or unix:// URL; default: an embedded server."
    )
    data_dir: Path = Field(
        Path("data"), description="Where the embedded database, Redis files and logs live."
    )
    max_batch: int = Field(
        64, ge=1, le=4096, description="Most messages in one forward pass of the worker."
    )
    reply_deadline: float = Field(
        20.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds a message may wait for its decision before a person is called.",
    )
    flood_per_minute: int = Field(
        FLOOD_PER_MINUTE,
        ge=1,
        le=10_000,
        description="Messages of one customer in a minute beyond which the bot pauses.",
    )
    simulator_port: int = Field(
        8081, ge=0, le=65535, description="Port of the simulator and its page (0: any free one)."
    )
    retrain_at: str | None = Field(
        "03:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="Time of the nightly retraining (UTC, HH:MM); `off` to leave it out.",
    )
    auto_promote: bool = Field(
        True,
        description="Whether a run's model that the gate lets pass serves at once; with `false` "
        "somebody promotes it.",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="Days of silence after which a customer is erased; without it all is kept.",
    )
    log_level: str = Field(
        "INFO",
        pattern=r"^(DEBUG|INFO|WARNING|ERROR)$",
        description="Level of the JSON log: DEBUG, INFO, WARNING or ERROR.",
    )

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65532,
        description="Port of /metrics, /healthz and /readyz; without it there are none. "
        "`frontdesk up` takes four in a row.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address on which METRICS_PORT listens; 0.0.0.0 for all, "
        ":: for those of IPv6, too.",
    )

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        return None if value is None else _database_url(value)

    @field_validator("retrain_at", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        # Other programs read LOG_LEVEL, too, and many write `info` or `WARN`.
        if not isinstance(value, str):
            return value
        level = "WARNING" if value.upper() == "WARN" else value.upper()
        return level if level in {"DEBUG", "INFO", "WARNING", "ERROR"} else value

    @field_validator("bot_token")
    @classmethod
    def _token_shape(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            number, _, key = value.get_secret_value().partition(":")
            if not number.isdigit() or len(key) < 20:
                raise ValueError("must look like 123456789:AA… as @BotFather gave it")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _secret_shape(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\w-]{1,256}", value.get_secret_value(), re.A):
            raise ValueError("must be 1 to 256 characters of A-Z, a-z, 0-9, _ and -")
        return value

    @model_validator(mode="after")
    def _webhook_needs_secret(self) -> Self:
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError(
                "WEBHOOK_URL needs WEBHOOK_SECRET beside it, or anybody could send us updates"
            )
        return self

    @property
    def database_file(self) -> Path | None:
        """The SQLite file that serves without DATABASE_URL; None with one.

        The simulator has its own: its people must not become a real bot's customers
        and operators.
        """
        return self._own_file if self.database_url is None else None

    @property
    def _own_file(self) -> Path:
        return self.data_dir / ("simulator.db" if self.bot_token is None else "frontdesk.db")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        if self.database_url is None:
            return sqlite_url(self._own_file)
        # Hosting platforms hand out postgres:// URLs; the driver here is psycopg 3.
        for prefix in ("postgres://", "postgresql://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url

    def secrets(self) -> list[str]:
        """The values that nobody may read in a log: tokens, secrets, passwords in addresses."""
        kept = [
            value.get_secret_value() for value in (self.bot_token, self.webhook_secret) if value
        ]
        for address in (self.database_url, self.redis_url):
            if address is None:
                continue
            parts = urlsplit(address)
            if parts.password:
                kept += [parts.password, unquote(parts.password)]
            kept += [value for name, value in parse_qsl(parts.query) if name in PASSWORDS]
        return kept


def load(**overrides: Any) -> Settings:
    """Read the settings; raise `DeskError` with a line for each wrong one."""
    return load_part(Settings, **overrides)


def load_part(part: type[Part], **overrides: Any) -> Part:
    """Read some of the settings, and none of the others; raise as `load` does."""
    try:
        return part(**overrides)
    except UnicodeDecodeError as error:
        # Not its text: that quotes the file.
        file = overrides.get("_env_file", part.model_config.get("env_file"))
        raise DeskError(
            f"{file} is not in UTF-8 (see its byte {error.start + 1}): save it in that encoding."
        ) from None
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            message = mistakes.sentence(problem, part)
            if not problem["loc"]:
                lines.append(message)
                continue
            field = str(problem["loc"][0])
            if problem["type"] == "string_pattern_mismatch":  # a pattern helps nobody
                message = f"{problem['input']!r} won't do"
            if field == "operator_chat_id" and problem["type"] == "less_than":
                message += ": /id in the group tells its id, which begins with -100"
            meant = part.model_fields[field].description
            lines.append(f"{field.upper()}: {message}. ({meant})")
        raise DeskError(
            "Some settings are wrong (see docs/settings.md):\n  " + "\n  ".join(lines)
        ) from None
