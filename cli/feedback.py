"""`frontdesk feedback`: what people taught, for the team that trains on it, and its withdrawal."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import load_settings, open_desk
from cli.errors import CommandError, MisconfiguredError, wrong_name
from cli.options import read_labelled
from cli.private_file import check_new, write_new
from cli.screen import JsonOption, agreed, as_json, notices, print_json, results, shown

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.flow.teaching import Word
    from desk.settings import Settings

feedback = typer.Typer(
    no_args_is_help=True, help="List what people taught, hand it out, withdraw what is wrong."
)

MOST_DAYS = 3650
LARGEST_ID = 2**63 - 1
"""A database takes no larger one."""
UNASKED = 10
"""So many words, named one by one, are withdrawn without a question."""
WIDTH = 48


def _moment(text: str) -> datetime:
    try:
        if text.isdecimal():
            if not 1 <= int(text) <= MOST_DAYS:
                raise ValueError
            return datetime.now(UTC) - timedelta(days=int(text))
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a day nor a number of days; write 2026-03-02, or 30 for the "
            f"last 30 days ({MOST_DAYS} at most)."
        ) from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


By = Annotated[
    str | None,
    typer.Option(metavar="ID|NAME", help="Only this operator's, or the customer's of that id."),
]
Intent = Annotated[str | None, typer.Option(metavar="NAME", help="Only those with this intent.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=_moment, metavar="DATE|DAYS", help="Only since that day (UTC), or of so many days."
    ),
]


@feedback.command("list", epilog="Example: frontdesk feedback list --by olga --since 30")
def list_(
    by: By = None,
    intent: Intent = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="No more than so many.")] = 50,
    json_: JsonOption = False,
) -> None:
    """What people taught, the newest first, and what becomes of it in a training.

    It teaches; or it is set aside, where labels measure models; withdrawn; overruled by what counts
    more on that text; of an intent that the pack lacks, or a sentiment that its examples lack; on
    a text that is in the pack's test; a thumb down, which says only that an answer was wrong; or
    about no text.
    """
    settings = load_settings()
    desk = open_desk(settings)
    found = _words(settings, desk, by, intent, since, min(limit, LARGEST_ID - 1) + 1)
    more, found = len(found) > limit, found[:limit]
    if json_:
        print_json(
            [
                {
                    "id": word.id,
                    "at": word.at.isoformat(),
                    "by": word.operator_id,
                    "customer": word.customer_id,
                    "who": word.who,
                    "kind": str(word.kind),
                    "text": word.text,
                    "intent": word.intent,
                    "sentiment": word.sentiment,
                    "outcome": str(word.outcome),
                }
                for word in found
            ]
        )
    elif found:
        _print(found)
    if not found:
        filtered = by is not None or intent is not None or since is not None
        notices().print("None of those." if filtered else "Nobody has taught anything yet.")
    if more:
        notices().print(f"These are the newest {limit}; --limit shows more.")


@feedback.command(epilog="Example: frontdesk feedback export taught.jsonl --since 2026-03-02")
def export(
    out: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A new file, readable by you alone; - for the screen."),
    ],
    by: By = None,
    intent: Intent = None,
    since: Since = None,
) -> None:
    """What teaches, as JSONL with text, intent and sentiment, a line a text: `frontdesk import`
    reads it.

    Texts are customers' own words. They are masked; of names the writer's own alone are found, as
    Telegram has them. Each is marked as private,
    by which a pack that gets it learns from it and shows it to nobody; one whose labels are
    there by whether the model was right, such as thumbs up, is marked as no measure of a model,
    too. With --intent, moods are
    left out, those of the same texts, too: they have no intent.
    """
    from classifier.data import Example, dump_jsonl
    from desk.flow.teaching import Outcome
    from desk.validation.near import exact_key
    from workers.training_data import proves

    to_screen = str(out) == "-"
    if not to_screen:
        check_new(out)
    settings = load_settings()
    found = _words(settings, open_desk(settings), by, intent, since)
    # Of a text that several people taught, as the newest of them has written it.
    texts: dict[str, Example] = {}
    measuring: defaultdict[str, list[bool]] = defaultdict(list)
    for word in found:
        if word.outcome is Outcome.TEACHES:
            key = exact_key(word.text)
            known = texts.get(key, Example(word.text, private=True))
            intent_, sentiment = known.intent or word.intent, known.sentiment or word.sentiment
            texts[key] = replace(known, intent=intent_, sentiment=sentiment)
            if word.intent is not None:
                measuring[key].append(proves(word.kind, by_outcome=word.by_outcome))
    for key, proving in measuring.items():
        texts[key] = replace(texts[key], measures=any(proving))
    if not texts:
        raise CommandError("Nothing of that teaches. See: frontdesk feedback list")
    if to_screen:
        for example in texts.values():
            print(as_json(json.loads(dump_jsonl([example]))))
        return
    write_new(out, dump_jsonl(texts.values()))
    notices().print(f"{out}: {len(texts):,} examples", markup=False)


@feedback.command(
    epilog="Example: frontdesk feedback withdraw 17 21\n\n"
    "Example: frontdesk feedback withdraw --by 9003 --since 2026-03-02\n\n"
    "Example: frontdesk feedback withdraw --intent refund --before 2026-03-02"
)
def withdraw(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", min=1, max=LARGEST_ID, help="As `list` shows them."),
    ] = None,
    by: By = None,
    intent: Intent = None,
    since: Since = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment, metavar="DATE|DAYS", help="Only from before that day (UTC), likewise."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Have labels and moods teach no more: these, or all of a person or of an intent. They stay as
    a record.

    Whoever labels such a message anew teaches again.
    """
    from desk.flow import teaching

    chosen = by is not None or intent is not None
    if bool(ids) == chosen:
        raise MisconfiguredError(
            "Name what to withdraw by its ids, or whose labels and moods with --by, or those of "
            "one intent with --intent."
        )
    if not chosen and (since is not None or before is not None):
        raise MisconfiguredError(
            "--since and --before go with --by or --intent: ids say already what is meant."
        )
    desk = open_desk(load_settings())
    if intent is not None:
        _refuse_unknown(desk, intent)
    with wrong_name():
        which = teaching.Which() if by is None else teaching.whose(desk, by)
        which = replace(which, intent=intent, since=since, before=before)
        meant = ids or teaching.ids_of(desk, which)
    if meant and not yes and (chosen or len(meant) > UNASKED):
        whose = f" of {shown(by)}" if by else ""
        under = f" under {shown(intent)}" if intent else ""
        _ask(f"Withdraw {len(meant):,} labels and moods{whose}{under}?")
    with wrong_name():
        number = teaching.withdraw(desk, meant)
    if json_:
        print_json({"withdrawn": number})
    elif number:
        results().print(f"{number:,} withdrawn: they teach no more.")
    else:
        results().print("Nothing changed: there was nothing left to withdraw.")
    if number:
        notices().print(
            "Models that were trained before have learned from them. Train anew: frontdesk train "
            "--from-feedback"
        )


def _words(
    settings: Settings,
    desk: Desk,
    by: str | None,
    intent: str | None,
    since: datetime | None,
    limit: int | None = None,
) -> list[Word]:
    from classifier.likeness import normalised
    from desk.flow import lessons, teaching
    from workers.gold import set_aside
    from workers.training_data import that_count

    with wrong_name():
        which = teaching.Which() if by is None else teaching.whose(desk, by)
    if intent is not None:
        _refuse_unknown(desk, intent)
    # What a run would train on now: so nobody's rules are told here a second time.
    held = settings.pack_dir / "test.jsonl"
    test = read_labelled(held) if held.exists() else []
    examples = read_labelled(settings.pack_dir / "examples.jsonl")
    heard = lessons.heard(desk)
    learned = lessons.resolve_conflicts(heard)
    to_train_on, _ = set_aside(learned, [*examples, *test])
    return teaching.words(
        desk,
        replace(which, intent=intent, since=since),
        heard=heard,
        counting=that_count(examples, to_train_on, test),
        aside=set(learned) - set(to_train_on),
        test={normalised(example.text) for example in test},
        sentiments={e.sentiment for e in examples if e.sentiment is not None},
        limit=limit,
    )


def _refuse_unknown(desk: Desk, intent: str) -> None:
    """Raise `MisconfiguredError` for an intent that neither the pack has nor anybody taught."""
    from sqlalchemy import select

    from desk.tables import Feedback

    names = desk.pack.names()
    if intent in names:
        return
    with desk.store.reading() as session:
        if session.scalar(select(Feedback.id).where(Feedback.intent == intent).limit(1)):
            return
    near = get_close_matches(intent, names, n=1)
    meant = f"; did you mean {near[0]}?" if near else ", and nobody has taught it."
    raise MisconfiguredError(f"The pack has no intent {shown(intent)}{meant}")


def _print(found: list[Word]) -> None:
    console = results()
    console.print(
        f"[bold]{'id':>6}  {'when (UTC)':<16}  {'who':<20}  {'kind':<14}  {'text':<{WIDTH}}  "
        "label → what becomes of it[/]"
    )
    for word in found:
        # A customer has no name here: their id says whom to ban, and whose words to withdraw.
        named = word.who if word.customer_id is None else f"{word.who} {word.customer_id}"
        who, text = _short(named, 20), _short(word.text, WIDTH) or "(erased)"
        line = (
            f"{word.id:>6}  {word.at:%Y-%m-%d %H:%M}  {who:<20}  {word.kind:<14}  {text:<{WIDTH}}  "
            f"{word.intent or word.sentiment or '–'} → {word.outcome}"
        )
        console.print(shown(line), markup=False)


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _ask(question: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise MisconfiguredError("Nobody is here to be asked whether to withdraw. Add --yes.")
    if not agreed(question):
        raise CommandError("Nothing was withdrawn.")
