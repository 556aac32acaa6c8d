"""The part of the Compose specification that docker-compose.yml uses, strictly.

A key that is not here is a misspelt one, or one to look up in the specification and add.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Duration = Annotated[str, Field(pattern=r"^(\d+(us|ms|s|m|h))+$")]
Bytes = Annotated[str, Field(pattern=r"^\d+(b|k|m|g|kb|mb|gb)$")]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$")]
Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Strict):
    context: str | None = None
    target: str
    args: dict[str, str | None] = {}


class After(Strict):
    condition: Condition
    restart: bool = False
    required: bool = True


class Health(Strict):
    test: list[str] | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    retries: int | None = None
    start_period: Duration | None = None
    disable: bool = False


class Device(Strict):
    driver: str
    count: int
    capabilities: list[str]


class Limits(Strict):
    memory: Bytes


class Reservations(Strict):
    memory: Bytes | None = None
    devices: list[Device] = []


class Resources(Strict):
    limits: Limits | None = None
    reservations: Reservations | None = None


class Deploy(Strict):
    resources: Resources


class Logging(Strict):
    driver: Literal["json-file"]
    options: dict[str, str]


class Service(Strict):
    image: str | None = None
    profiles: list[Name] = []
    build: Build | None = None
    command: list[str] | None = None
    environment: dict[str, str | None] = {}
    volumes: list[str] = []
    ports: list[str] = []
    networks: list[Name] = []
    depends_on: dict[Name, After] = {}
    healthcheck: Health | None = None
    restart: Literal["no", "always", "unless-stopped"] | None = None
    init: bool = False
    read_only: bool = False
    tmpfs: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    stop_grace_period: Duration | None = None
    shm_size: Bytes | None = None
    cpu_shares: int | None = None
    deploy: Deploy | None = None
    logging: Logging | None = None


class Network(Strict):
    internal: bool = False


class Volume(Strict):
    pass


class Compose(Strict):
    model_config = ConfigDict(extra="allow", strict=True)

    name: Name | None = None
    services: dict[Name, Service]
    volumes: dict[Name, Volume | None] = {}
    networks: dict[Name, Network | None] = {}

    def model_post_init(self, _context: Any) -> None:
        wrong = [key for key in self.model_extra or {} if not key.startswith("x-")]
        if wrong:
            raise ValueError(f"unknown top-level keys: {', '.join(wrong)}")
