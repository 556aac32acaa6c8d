"""The ports that METRICS_PORT stands for, looked at before anything is started."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from cli.errors import MisconfiguredError
from cli.processes import PROCESSES

if TYPE_CHECKING:
    from desk.settings import Settings


def check_ports(settings: Settings) -> None:
    """Raise `MisconfiguredError` unless `frontdesk up` can have its ports from METRICS_PORT on, one
    a process: the last of these starts late, and would end all that works by then."""
    first, host = settings.metrics_port, settings.metrics_host
    if first is None:
        return
    others = {
        "SIMULATOR_PORT": settings.simulator_port if settings.bot_token is None else None,
        "WEBHOOK_PORT": settings.webhook_port if settings.webhook_url is not None else None,
    }
    for port, process in enumerate(PROCESSES, first):
        for name, other in others.items():
            if port == other:
                raise MisconfiguredError(
                    f"{name} {port} is among the four ports that METRICS_PORT {first} stands for "
                    f"({first} to {first + len(PROCESSES) - 1}). Set one of them to another."
                )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the endpoint itself does: connections of a run before are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                todo = "Set METRICS_HOST to an address of this machine, METRICS_PORT to one for you"
                if error.errno == errno.EADDRINUSE:
                    todo = (
                        "Stop the program that holds it, or set METRICS_PORT to the first of "
                        f"{len(PROCESSES)} others in a row"
                    )
                raise MisconfiguredError(
                    f"METRICS_PORT {first}: {process} can't have port {port} of METRICS_HOST "
                    f"{host} ({error.strerror}). {todo}."
                ) from None
