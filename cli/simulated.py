"""The simulated Telegram: its control API, and what the desk must forget when it starts anew."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, MisconfiguredError

if TYPE_CHECKING:
    from desk.flow.desk import Desk

HOST = "127.0.0.1"
UPDATE_ID_GAP = 1000

# The simulator is on this machine: a proxy of the environment has no part in it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Simulator:
    """The control API of a simulator at `url`; raises `CommandError` with its sentence."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, timeout: float = 5.0) -> Any:
        return self._call("GET", path, None, timeout)

    def post(self, path: str, body: dict[str, Any], timeout: float = 10.0) -> Any:
        return self._call("POST", path, body, timeout)

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return bool(self.get("/sim/health", timeout=1.0)["ok"])
        except CommandError:
            return False

    def restored(self) -> bool:
        """Whether it goes on where an earlier one stopped."""
        return bool(self.get("/sim/health", timeout=5.0).get("restored"))

    def shows_page(self) -> bool:
        """Whether the page for customer and operators can be opened."""
        try:
            with _opener.open(self.url + "/", timeout=3) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _call(self, method: str, path: str, body: Any, timeout: float) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always http, to this machine
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with _opener.open(request, timeout=timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            try:
                sentence = json.load(error)["error"]
            except (ValueError, KeyError, TypeError):
                sentence = f"HTTP {error.code}"
            raise CommandError(f"The simulator refuses: {sentence}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise CommandError(
                f"The simulator at {self.url} does not answer ({reason}). "
                "`frontdesk doctor` says what runs."
            ) from None


def choose_port(wanted: int) -> int:
    """The port if it is free (for 0, any free one). Raises `MisconfiguredError` if it is not."""
    try:
        with socket.create_server((HOST, wanted)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise MisconfiguredError(
            f"Port {wanted} on {HOST} can't be used ({error.strerror}). Stop the program that "
            "holds it, or set SIMULATOR_PORT to another port (0: any free one)."
        ) from None


def register_staff(desk: Desk) -> None:
    """Make the simulated operators known to the desk; a role given since then stays."""
    from desk.domain import Role
    from desk.flow.roster import add_operator, list_operators
    from simulator.world import STAFF

    known = {operator.user_id for operator in list_operators(desk)}
    for user_id, name, status in STAFF:
        if user_id not in known:
            role = Role.ADMIN if status == "creator" else Role.AGENT
            add_operator(desk, user_id, role, name)


def begin_anew(desk: Desk, simulator: Simulator, bot_id: int) -> None:
    """Bring the desk and a simulator that has just started together.

    One that goes on from its state file needs nothing. Any other begins with nothing: its
    updates, topics and people are numbered from the start again.
    Its next update must come after those the desk has stored, or it would be taken for a
    redelivery; a topic's number must not lead to the customer who had it before; and somebody
    who is met again is a new person, whom no operator has in charge. Customers of another bot
    in the same database are not touched.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from desk.flow.intake import next_update_id
    from desk.flow.restoring import forget_people
    from desk.store import unreachable

    if simulator.restored():
        return
    try:
        following = next_update_id(desk, bot_id)
        if following is None:
            return
        jump = {"kind": "reset_update_id", "next": following + UPDATE_ID_GAP}
        simulator.post("/sim/faults", jump)
        forget_people(desk, bot_id)
    except SQLAlchemyError as error:
        raise CommandError(str(unreachable(desk.store.url, error))) from None
