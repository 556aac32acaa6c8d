"""Faults on demand: what the next calls of a method meet instead of success."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from simulator.errors import ControlError
from simulator.model import Json

CALL_FAULTS = {
    "too_many_requests": "answered 429 with `retry_after`, not performed",
    "server_error": "answered `status` (502 as HTML, as the real one), not performed",
    "error": "answered `status` with `description` and `parameters`, not performed",
    "slow": "performed after `seconds`",
    "lost": "performed, but the connection drops without an answer",
    "refused": "not performed, the connection drops without an answer",
}
UPDATE_FAULTS = {
    "duplicate_update": "the next `times` updates are delivered twice",
    "out_of_order": "the next `times` batches of two or more updates come newest first",
    "garbage_update": "an update that no library can parse is queued (or `update`, as given)",
    "reset_update_id": "the next update gets the id `next` (default: far below the last one)",
}


@dataclass
class Fault:
    """A fault for the next `times` calls of `method` ("*": any), to one chat or to all."""

    id: int
    kind: str
    method: str = "*"
    chat_id: int | None = None
    times: int = 1
    retry_after: int = 3
    seconds: float = 1.0
    status: int = 0
    description: str = ""
    parameters: Json = field(default_factory=dict)

    def json(self) -> Json:
        """The fault as the control API shows it."""
        return asdict(self)


class Faults:
    """The active call faults, oldest first."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.last_id = 0

    def add(self, kind: str, body: Json) -> Fault:
        """Activate a call fault out of a control request; raises ControlError."""
        chat_id, parameters = body.get("chat_id"), body.get("parameters", {})
        if not isinstance(parameters, dict):
            raise ControlError(400, "parameters must be an object.")
        try:
            fault = Fault(
                id=self.last_id + 1,
                kind=kind,
                method=str(body.get("method", "*")),
                chat_id=None if chat_id is None else int(chat_id),
                times=int(body.get("times", 1)),
                retry_after=int(body.get("retry_after", 3)),
                seconds=float(body.get("seconds", 1.0)),
                status=int(body.get("status", 502 if kind == "server_error" else 400)),
                description=str(body.get("description", "")),
                parameters=parameters,
            )
        except (TypeError, ValueError) as error:
            raise ControlError(400, f"A field of the fault is not a number: {error}.") from None
        if fault.times < 1:
            raise ControlError(400, "times must be 1 or more.")
        if not 400 <= fault.status <= 599:
            raise ControlError(400, "status must be between 400 and 599.")
        self.last_id += 1
        self.active.append(fault)
        return fault

    def next_for(self, method: str, chat_id: int | None) -> Fault | None:
        """The fault this call meets, counted down; None for an untroubled call."""
        for fault in self.active:
            named = fault.method in ("*", "") or fault.method.lower() == method.lower()
            if named and fault.chat_id in (None, chat_id):
                fault.times -= 1
                if fault.times <= 0:
                    self.active.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Remove all."""
        self.active.clear()
