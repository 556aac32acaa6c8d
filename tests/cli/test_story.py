"""The newcomer's story, end to end on real processes: ask, escalate, answer, correct, retrain."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import rundir
from cli.simulated import Simulator
from tests.cli.conftest import ANSWER, Place

GROUP = -1001000000001
OLGA = 9001


class World:
    """The simulator of a running desk, with one customer."""

    def __init__(self, place: Place) -> None:
        self.simulator = Simulator(str(rundir.read(place.data_dir)["url"]))
        self.customer = self.simulator.post("/sim/customers", {"first_name": "Nina"})["id"]

    def says(self, text: str) -> None:
        self.simulator.post(f"/sim/customers/{self.customer}/send", {"text": text})

    def reads(self, text: str) -> dict[str, Any]:
        """Wait until the customer has got a message with that text."""
        return self._wait(self.customer, lambda message: text in message.get("text", ""))

    def operators_read(self, text: str) -> dict[str, Any]:
        """Wait until the operators' group shows a message with that text."""
        return self._wait(GROUP, lambda message: text in message.get("text", ""))

    def olga_says(self, text: str, thread: int | None = None) -> None:
        self.simulator.post(f"/sim/operators/{OLGA}/send", {"text": text, "thread": thread})

    def olga_presses(self, message: dict[str, Any], button: str) -> dict[str, Any]:
        found: dict[str, Any] = self.simulator.post(
            f"/sim/operators/{OLGA}/press", {"message_id": message["message_id"], "text": button}
        )
        return found

    def buttons(self, message_id: int) -> list[str]:
        """The labels that a message in the operators' group carries now."""
        for message in self.simulator.get(f"/sim/chats/{GROUP}/messages?limit=1000"):
            if message["message_id"] == message_id:
                rows = (message.get("reply_markup") or {}).get("inline_keyboard", [])
                return [button["text"] for row in rows for button in row]
        return []

    def _wait(self, chat: int, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for message in self.simulator.get(f"/sim/chats/{chat}/messages?limit=1000"):
                if fits(message):
                    return dict(message)
            time.sleep(0.1)
        raise AssertionError(f"never seen in chat {chat}")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_corrected_label_is_trained_and_the_new_model_takes_over(
    place: Place, pack_dir: Path
) -> None:
    # Few examples prove no more than this, and what is not proven is not answered.
    pack = Path(shutil.copytree(pack_dir, place.folder / "pack")) / "pack.yml"
    pack.write_text(pack.read_text().replace("threshold: 0.5", "target_error: 0.4"))
    # The real base model, from nothing: `up` trains its starter model first.
    place.settings |= {
        "PACK": str(pack.parent),
        "MODELS_DIR": str(place.folder / "models"),
        "BASE_MODEL": "minilm",
    }
    place.up(timeout=200)
    before = place.run("models", "list", "--json").json()
    world = World(place)

    world.says("where is my parcel")
    world.reads(ANSWER)

    world.says("let me talk to a human about the chair")
    world.reads("passing this to a colleague")
    card = world.operators_read("let me talk to a human about the chair")
    thread = card["message_thread_id"]

    world.olga_says("Olga here, what about the chair?", thread)
    world.reads("Olga here, what about the chair?")

    # The bot is silent from now on; what the customer writes is shown to the operators.
    world.says("where is my parcel, the second one")
    world.operators_read("where is my parcel, the second one")
    answers = [
        message
        for message in world.simulator.get(f"/sim/chats/{world.customer}/messages?from=bot")
        if message.get("text") == ANSWER
    ]
    assert len(answers) == 1

    world.olga_presses(card, "Relabel…")
    until(lambda: "A person" in world.buttons(card["message_id"]))
    toast = world.olga_presses(card, "A person")
    assert "A person" in toast["text"]
    until(lambda: "Resolve" in world.buttons(card["message_id"]))
    world.olga_presses(card, "Resolve")

    world.olga_says("/retrain")
    world.operators_read("is queued")
    world.operators_read("Training run 1")
    until(lambda: len(place.run("models", "list", "--json").json()) == len(before) + 1)
    world.operators_read("has taken over")
    champion = next(m for m in place.run("models", "list", "--json").json() if m["champion"])
    assert champion["version"] != before[0]["version"]
    manifest = json.loads((Path(champion["path"]) / "manifest.json").read_text())
    assert manifest["notes"]["learned"] == 1

    # The worker swaps between batches, and the conversation is the bot's again.
    def served_by() -> str:
        return str(place.run("chat", "where is my lamp", "--json").json()["model"])

    until(lambda: served_by() == champion["version"])
