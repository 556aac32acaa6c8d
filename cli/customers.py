"""`frontdesk customers`: what is kept of them, for them to have, and its erasure."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import check_store, load_settings, open_desk, open_store, tell_simulators
from cli.erased import clear_log, erase_again, note
from cli.errors import CommandError, MisconfiguredError, wrong_name
from cli.private_file import check_new, write_new
from cli.screen import JsonOption, agreed, notices, print_json, results, shown

if TYPE_CHECKING:
    from desk.flow.erasing import Erased
    from desk.settings import Settings

customers = typer.Typer(no_args_is_help=True, help="Find customers, hand out their data, erase it.")

Who = Annotated[str, typer.Argument(metavar="WHO", help="Telegram id or @username.")]
WhoOrAgain = Annotated[
    str | None, typer.Argument(metavar="[WHO]", help="Telegram id or @username.")
]


@customers.command("list", epilog="Example: frontdesk customers list ana --json")
def list_(
    part: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Part of a name or username, or an id.")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Customers, those who came first before."""
    from desk.flow.dossier import find

    desk = open_desk(load_settings())
    tell_simulators(desk.store)
    found = find(desk, part)
    if json_:
        print_json(
            [
                {
                    "telegram_id": customer.chat_id,
                    "username": customer.username,
                    "name": customer.name,
                    "first_seen": customer.created_at.isoformat(),
                    "topic": customer.topic_id,
                }
                for customer in found
            ]
        )
        return
    if not found:
        notices().print("Nobody by that name." if part else "No customers yet.")
    for customer in found:
        username = f" (@{customer.username})" if customer.username else ""
        name = shown(customer.name + username)
        if customer.topic_id is not None:
            name += f"  topic {customer.topic_id}"
        line = f"{customer.chat_id:>12}  {customer.created_at:%Y-%m-%d}  {name}"
        results().print(line, markup=False)


@customers.command(epilog="Example: frontdesk customers export @ana --out ana.json")
def export(
    who: Who,
    out: Annotated[
        Path | None, typer.Option(help="A new file, readable by you alone (default: the screen).")
    ] = None,
) -> None:
    """What is kept of a customer, as JSON: for one who asks what you know of them."""
    from desk.flow.dossier import record, the_one

    if out is not None and str(out) == "-":
        out = None
    if out is not None:
        check_new(out)
    desk = open_desk(load_settings())
    tell_simulators(desk.store)
    with wrong_name():
        customer = the_one(desk, who)
    kept = record(desk, customer.id)
    if out is None:
        print_json(kept)
        return
    write_new(out, json.dumps(kept, ensure_ascii=False, indent=2))
    notices().print(f"Written to {out}.", markup=False)


@customers.command(epilog="Example: frontdesk customers erase @ana")
def erase(
    who: WhoOrAgain = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Instead of WHO: all who were erased, after a restore."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also one who waits for a person, or has one.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Erase what is kept of a customer, for good, and delete their topic.

    What was counted of them stays, without words, names or ids. Should they write again, they
    are a new customer. With --again those who came back with a backup are erased once more, by the
    notes in DATA_DIR, while nothing runs.
    """
    if (who is None) != again:
        raise MisconfiguredError("Name whom to erase, or give --again alone.")
    if again and force:
        raise MisconfiguredError("--again asks of nobody whether they wait: leave out --force.")
    if who is None:
        _erase_again(json_)
        return
    from classifier import registry
    from desk.flow import erasing
    from desk.flow.dossier import the_one
    from desk.flow.watching import unfinished_runs

    settings = load_settings()
    desk = open_desk(settings)
    tell_simulators(desk.store)
    with wrong_name():
        customer = the_one(desk, who)
    # Before anything is done: a folder that can't be read must not hide what was.
    there = [version.name for version in registry.versions(settings.models_dir)]
    if not yes:
        question = f"Erase {customer.chat_id}, {shown(customer.name)}, and all that was said?"
        _ask(question, customer.banned_at is not None)
    erased = erasing.erase(desk, customer.id, force=force)
    note(desk.store, settings)
    models = _models_since(erased, there)
    examples, unread = _in_pack(settings, erased.lessons)
    runs = [] if erased.taught_since is None else [run[0] for run in unfinished_runs(desk)]
    if json_:
        print_json(
            {
                "telegram_id": customer.chat_id,
                "conversations": erased.conversations,
                "messages": erased.messages,
                "topic": erased.topic,
                "taught_since": erased.taught_since and erased.taught_since.isoformat(),
                "models": models,
                "runs": runs,
                "examples": examples,
            }
        )
    else:
        results().print(
            f"{customer.chat_id} is erased (conversations: {erased.conversations}, messages: "
            f"{erased.messages})."
        )
    for remark in (*_remarks(erased, models, runs, examples), *unread):
        notices().print(remark, markup=False)
    clear_log(desk.store)
    desk.store.dispose()


def _erase_again(json_: bool) -> None:
    settings = load_settings()
    store = open_store(settings)
    tell_simulators(store)
    check_store(store)
    number = erase_again(store, settings)
    store.dispose()
    if json_:
        print_json({"erased": number})
    else:
        results().print(f"Erased again: {number}.")


def _ask(question: str, banned: bool) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise MisconfiguredError("Nobody is here to be asked whether to erase. Add --yes.")
    if banned:
        notices().print("They are banned: the ban goes, too.")
    if not agreed(question):
        raise CommandError("Nothing was erased.")


def _models_since(erased: Erased, versions: list[str]) -> list[str]:
    """Versions that may have been trained on texts of theirs."""
    if erased.taught_since is None:
        return []
    since = f"{erased.taught_since:%Y%m%d-%H%M%S}"
    return [version for version in versions if version >= since]


def _in_pack(settings: Settings, texts: Collection[str]) -> tuple[list[str], list[str]]:
    """Where the pack has these texts, as `packs/mine/examples.jsonl:12`, and what could not be
    read."""
    from classifier.data import DataError, read_placed
    from desk.validation.near import exact_key

    found, unread = [], []
    keys = {exact_key(text) for text in texts}
    for name in ("examples.jsonl", "test.jsonl") if keys else ():
        file = settings.pack_dir / name
        try:
            placed = read_placed(file) if file.exists() else []
        except DataError as error:
            unread.append(f"Whether the pack has what they taught is not known: {error}")
            continue
        found += [where for where, example in placed if exact_key(example.text) in keys]
    return found, unread


def _remarks(erased: Erased, models: list[str], runs: list[int], examples: list[str]) -> list[str]:
    """What the erasure does not reach, and what to do about it."""
    said = []
    if erased.topic:
        said.append(
            "The bot deletes their topic next, for which it needs the right “Delete messages”. If "
            "it lacks that, delete the topic by hand, or give it the right and run: frontdesk "
            "doctor --retry"
        )
    if examples:
        said.append(
            "The pack has what they taught, or what somebody else wrote in the same words. Take "
            f"out what is theirs, before a training: {', '.join(examples)}"
        )
    if models:
        said.append(
            "Models may have learned from messages of theirs. Train anew (frontdesk train "
            f"--from-feedback), then: frontdesk models remove {' '.join(models)}"
        )
    elif erased.taught_since is not None:
        said.append(
            "Models may have learned from messages of theirs since "
            f"{erased.taught_since:%Y-%m-%d}. MODELS_DIR here has none that was made since then; "
            "where training runs, too, remove those: frontdesk models list"
        )
    if runs:
        said.append(
            f"Training run {runs[0]} is under way and may have read them, too: remove its version "
            "when it is over."
        )
    said.append(
        "It does not reach: backups and logs of before, files of `frontdesk feedback export` and "
        "other packs, their own chat with the bot, and what stands in the operators' group outside "
        "their topic, such as an empty topic of their name that was left where one was made twice."
    )
    return said
