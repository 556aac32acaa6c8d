"""Intents of another pack, such as a packaged one, which every desk needs: their definitions.

Their rows are read as any file's. What they say is that desk's, so what of its words is in them
and what can't come along is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from desk import pack as packs
from desk.exchange.material import Answer, ExchangeError, Labelled, Material
from desk.pack import PLACEHOLDER, Intent

EVERY_DESK = (
    *("talk_to_person", "complaint", "danger", "crisis", "are_you_a_bot"),
    *("greeting", "thanks", "goodbye"),
)
"""What customers of any desk write, by the names that packs/retail has for it."""


def is_pack(source: Path) -> bool:
    return (source / "pack.yml").exists()


def read(
    folder: Path, only: Collection[str], rows: Sequence[Labelled], tests: Sequence[Labelled]
) -> Material:
    """These intents of a pack's folder, with those of its `rows` and `tests` that are theirs.

    Raises `ExchangeError` where it has no such intent, `PackError` for a broken pack.yml.
    """
    pack, where = packs.load(folder), str(folder / "pack.yml")
    if not only:
        raise ExchangeError(
            f"{folder} is a pack: say with --only which of its intents to take, such as --only "
            f"{','.join([name for name in EVERY_DESK if name in pack.intents] or pack.intents)}"
        )
    for name in only:
        if name not in pack.intents:
            near = get_close_matches(name, pack.intents, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(pack.intents)}"
            raise ExchangeError(f"{where}: has no intent {name!r}; {hint}")
    language = pack.languages[0]
    return Material(
        examples=[row for row in rows if row.intent in only],
        tests=[row for row in tests if row.intent in only],
        answers=[
            Answer(where, name, answer[language], makes_intent=True)
            for name in only
            if (answer := pack.intents[name].answer) is not None
        ],
        intents=dict.fromkeys(only, where),
        # In the one language that the answers are in.
        definitions={
            name: intent.model_copy(update={"title": {language: intent.title[language]}})
            for name in only
            for intent in [pack.intents[name]]
        },
        values={
            name: pack.values[name]
            for each in only
            for text in words(pack.intents[each], language)
            for name in PLACEHOLDER.findall(text)
            if name in pack.values
        },
        language=language,
    )


def defined(
    intent: Intent,
    language: str,
    answers: Container[str],
    filled: Callable[[str], str],
) -> tuple[dict[str, Any], int]:
    """An intent's fields but for its answer, in one language, and how many buttons had to stay:
    those to pages of the other desk, and to topics that are not among `answers`."""
    whole = intent.model_dump(mode="json", exclude_defaults=True, exclude={"answer", "formerly"})
    buttons = [
        button
        for button in whole.pop("buttons", ())
        if "url" not in button and ("intent" not in button or button["intent"] in answers)
    ]
    if buttons:
        whole["buttons"] = buttons
    for holder in (whole, *buttons):
        for key in ("title", "meanwhile", "text"):
            if key in holder:
                holder[key] = {language: filled(holder[key][language])}
    return whole, len(intent.buttons) - len(buttons)


def words(intent: Intent, language: str) -> Iterator[str]:
    """The texts of an intent in a language."""
    texts = (intent.title, intent.answer, intent.meanwhile, *(each.text for each in intent.buttons))
    yield from (text[language] for text in texts if text is not None)
