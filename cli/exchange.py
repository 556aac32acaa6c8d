"""`frontdesk import` and `frontdesk export`: other systems' files into a pack, and out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.base_model import unreadable
from cli.compose import read_pack_settings
from cli.errors import MisconfiguredError, wrong_argument
from cli.options import named_pack
from cli.screen import JsonOption, notices, print_json, results, shown

if TYPE_CHECKING:
    from classifier.data import Example
    from desk.exchange.material import Labelled, Material, Notice
    from desk.exchange.merge import Plan
    from desk.pack import Pack

SHOWN = 20
"""Remarks on the screen; --json has them all."""


class Format(StrEnum):
    RASA = "rasa"
    JSONL = "jsonl"
    CSV = "csv"
    CHATWOOT = "chatwoot"
    ZAMMAD = "zammad"


def import_(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Examples (JSONL, CSV), files or the folder of a Rasa project, canned answers "
            "(CSV of Chatwoot or Zammad), another pack.",
            parser=named_pack,
        ),
    ] = None,
    *,
    into: Annotated[
        Path,
        typer.Option(
            help="A pack, named as PACK names one; a new folder becomes a pack.",
            metavar="PACK",
            parser=named_pack,
        ),
    ],
    only: Annotated[
        str | None,
        typer.Option(
            metavar="INTENT,…", help="Of a pack among the sources: which of its intents to take."
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Examples for the pack's test.jsonl, which is never trained on."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Of a new pack, such as en (default: Rasa's config.yml says, else en)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Add examples, intents, answers and replies from other systems' files, or intents of another
    pack, to a pack.

    A canned answer without an intent of its name becomes a reply, which operators send by /answer.
    An import only adds. What the pack has stays as it is: an example with another label, or another
    answer to an intent of the pack, is reported and left out. A second import adds nothing.
    """
    from classifier.data import dump_jsonl
    from desk.exchange import merge
    from desk.exchange.material import Material
    from desk.locking import locked
    from desk.pack import LANGUAGE

    if language is not None and not LANGUAGE.fullmatch(language):
        raise MisconfiguredError(
            f"--language {language}: write two or three small letters, such as en."
        )
    if not sources and test is None:
        raise MisconfiguredError("Name a source, or a file of tests with --test.")
    base = read_pack_settings().base_model
    with wrong_argument():
        merge.is_new(into)  # a wrong folder is told before much is read
    names = _names(only, sources or [])
    material = Material()
    read = []
    for source in sources or ():
        with wrong_argument():
            there = _read(source, names)
        for file, found in there:
            material.add(found)
            counts = {"examples": len(found.examples), "answers": len(found.answers)}
            read.append({"file": str(file), **counts})
    if test is not None:
        _add_tests(material, test)
    with locked(into):  # two imports at once: the second adds to what the first has made
        with wrong_argument():
            present, held_out = (_present(into / f"{name}.jsonl") for name in ("examples", "test"))
            plan = merge.plan(into, material, present, held_out, language)
        if not dry_run and not plan.empty:
            plan.write(*(dump_jsonl(map(_example, rows)) for rows in (plan.added, plan.tests)))
    plan.notices[:0] = _unread(base, [*plan.added, *plan.tests])
    if json_:
        print_json(_report(plan, read, dry_run))
    else:
        _print_plan(plan, read, dry_run)


def export(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The file to write; for rasa a folder for its files."),
    ],
    format_: Annotated[Format, typer.Option("--format", help="What to write.")],
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A pack, named as PACK names one, or a file of examples (default: PACK).",
            metavar="PACK|FILE",
            parser=named_pack,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there already.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Write a pack's examples and answers for other systems.

    jsonl and csv: the examples. rasa: nlu.yml, domain.yml and, with the language alone,
    config.yml. chatwoot and zammad: the answers and replies as canned answers, in the pack's first
    language.
    """
    from desk.exchange.files import write_files

    if str(out) == "-":
        raise MisconfiguredError(
            "An export writes files, not standard output: name one instead of -."
        )
    if from_ is not None and not from_.exists():
        raise MisconfiguredError(
            f"{from_}: there is no such file; --from takes a pack's folder or a file of examples."
        )
    if format_ is Format.RASA and out.exists() and not out.is_dir():
        raise MisconfiguredError(
            f"{out} is a file; name a folder: rasa is written as several files."
        )
    source = from_ or read_pack_settings().pack_dir
    with wrong_argument():
        files, counts, remarks = _written(source, out, format_)
    odd = [str(path) for path in files if path.exists() and not path.is_file()]
    if odd:
        raise MisconfiguredError(
            f"{', '.join(odd)} is no ordinary file, but a folder, a device or a pipe. "
            "Name a file that is new or may be replaced."
        )
    present = [str(path) for path in files if path.exists()]
    if present and not force:
        raise MisconfiguredError(
            f"{', '.join(present)} is there already. Write elsewhere, or say --force to replace it."
        )
    write_files(files)
    if json_:
        names = [str(path) for path in files]
        print_json({"from": str(source), "files": names, **counts, "notices": remarks})
        return
    for remark in remarks:
        notices().print(remark, markup=False)
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    results().print(f"{', '.join(map(str, files))}: {said}", markup=False)


def _add_tests(material: Material, test: Path) -> None:
    from desk.exchange import from_pack

    if from_pack.is_pack(test):
        raise MisconfiguredError(f"{test} is a pack: name its {test / 'test.jsonl'}.")
    tests: list[Labelled] = []
    with wrong_argument():
        for _, found in _read(test, []):
            tests += found.examples
            material.notices += found.notices
    if not tests:
        raise MisconfiguredError(f"{test}: holds no examples, and a test has nothing else.")
    material.tests += tests


def _read(source: Path, only: list[str]) -> list[tuple[Path, Material]]:
    """The material of a source, file by file; of a pack these intents."""
    from classifier.data import DataError, csv_header
    from desk.exchange import canned, from_pack, rasa
    from desk.exchange.material import ExchangeError, Material

    if from_pack.is_pack(source):
        return _read_pack(source, only)
    if source.is_dir():
        read = [(path, *_read_rasa(path)) for path in rasa.project_files(source)]
        if not any(found.examples or found.answers or found.intents for _, found, _ in read):
            raise ExchangeError(
                f"{source}: no .yml file in this folder has examples or a domain of Rasa. "
                "Name files of JSONL or CSV one by one."
            )
        return [(path, found) for path, found, usable in read if usable or found.notices]
    if source.suffix.lower() in (".yml", ".yaml"):
        found, usable = _read_rasa(source)
        if not usable:
            raise ExchangeError(
                f"{source}: holds none of Rasa's `nlu`, `intents`, `responses` and `slots`"
            )
        return [(source, found)]
    if source.suffix.lower() == ".csv" and canned.system_of(csv_header(source)):
        return [(source, canned.read(source))]
    try:
        return [(source, Material(examples=_labelled(source)))]
    except DataError as error:
        if source.is_file() or not source.exists():
            raise
        raise MisconfiguredError(
            f"{error}. What comes from a pipe is read as JSONL: save anything else as a file."
        ) from None


def _names(only: str | None, sources: list[Path]) -> list[str]:
    """The intents that --only names."""
    from desk.exchange import from_pack

    if only is not None and not any(map(from_pack.is_pack, sources)):
        raise MisconfiguredError(
            "--only takes intents out of a pack: name one among the sources, such as packs/retail."
        )
    return [name.strip() for name in (only or "").split(",") if name.strip()]


def _read_pack(folder: Path, only: list[str]) -> list[tuple[Path, Material]]:
    from desk.exchange import from_pack

    rows, tests = (_present(folder / f"{name}.jsonl") for name in ("examples", "test"))
    return [(folder, from_pack.read(folder, only, rows, tests))]


def _read_rasa(path: Path) -> tuple[Material, bool]:
    from desk.exchange import rasa

    read = rasa.read(path)
    if read.has_examples:
        read.material.examples = _labelled(path, other_sentiments=True)
    return read.material, read.usable


def _labelled(path: Path, other_sentiments: bool = False) -> list[Labelled]:
    from classifier.data import read_placed
    from desk.exchange.material import Labelled

    return [
        Labelled(where, e.text, e.intent, e.sentiment, e.private, e.measures)
        for where, e in read_placed(path, other_sentiments=other_sentiments)
    ]


def _unread(base: str, rows: list[Labelled]) -> list[Notice]:
    """What to say of new rows that the base model can't read."""
    found = unreadable(base, [(row.where, row.text, row.intent) for row in rows])
    if found is None:
        return []
    from classifier.unread import FOR_EXAMPLE
    from desk.exchange.material import Notice

    return [
        Notice(
            f"{found}; for a pack with these set BASE_MODEL to one that knows their language, such "
            f"as {FOR_EXAMPLE}"
        )
    ]


def _example(row: Labelled) -> Example:
    from classifier.data import Example

    return Example(row.text, row.intent, row.sentiment, row.private, row.measures)


def _present(path: Path) -> list[Labelled]:
    """The rows of a pack's file, which may be missing or empty as yet."""
    return _labelled(path) if _has_rows(path) else []


def _has_rows(path: Path) -> bool:
    return path.exists() and bool(path.read_bytes().strip())


def _written(
    source: Path, out: Path, format_: Format
) -> tuple[dict[Path, str], dict[str, int], list[str]]:
    """The files of an export with their contents, what they hold, and what stayed behind."""
    from classifier import nlu
    from classifier.data import dump_csv, dump_jsonl, read_examples
    from desk import pack as packs
    from desk.exchange import canned, rasa

    # A pipe is a file of examples, too; and of a PACK that is missing, `load` says what to set.
    pack = packs.load(source) if source.is_dir() or not source.exists() else None
    if format_ in (Format.CHATWOOT, Format.ZAMMAD):
        if pack is None:
            raise MisconfiguredError(f"{source} is a file of examples; name a pack's folder.")
        text = canned.dump(pack, canned.System(format_))
        counts = {"answers": _answered(pack), "replies": len(pack.replies)}
        return {out: text}, counts, _left_behind(pack, format_)
    path = source / "examples.jsonl" if pack else source
    # Canned answers make a pack without examples, and Rasa has a place for the answers alone.
    bare = pack is not None and format_ is Format.RASA and not _has_rows(path)
    examples = [] if bare else read_examples(path)
    own = sum(example.private for example in examples), "customers' own words"
    trained_on = sum(not example.measures for example in examples), "to measure no model"
    unmarked = [
        f"{n:,} are {what}, which {format_} can't say." for n, what in (own, trained_on) if n
    ]
    if format_ is Format.JSONL:
        return {out: dump_jsonl(examples)}, {"examples": len(examples)}, []
    if format_ is Format.CSV:
        return {out: dump_csv(examples)}, {"examples": len(examples)}, unmarked
    called = rasa.names(pack) if pack else {}
    rows = [
        (e.text, called.get(e.intent, e.intent), e.sentiment)
        for e in examples
        if e.intent is not None
    ]
    files: dict[Path, str] = {}
    counts = {"examples": len(rows)}
    remarks = unmarked
    if rows:
        files[out / "nlu.yml"] = nlu.dump(rows)
    elif pack is None:
        raise MisconfiguredError(
            f"{source}: no example has an intent; Rasa has no place for others."
        )
    else:
        remarks.append("There are no examples with an intent, so no nlu.yml.")
    if len(rows) < len(examples):
        few = len(examples) - len(rows)
        remarks.append(f"Examples without an intent are left out ({few:,}): Rasa has no place.")
    if pack is not None:
        files[out / "domain.yml"] = rasa.dump_domain(pack)
        counts["answers"] = _answered(pack)
        config = out / "config.yml"
        if config.exists():  # a project's own says how its model is built
            remarks.append(
                f"{config} stays as it is: see that its language is {pack.languages[0]}."
            )
        else:
            files[config] = rasa.dump_config(pack)
        remarks += _left_behind(pack, format_)
    return files, counts, remarks


def _answered(pack: Pack) -> int:
    return sum(intent.answer is not None for intent in pack.intents.values())


def _left_behind(pack: Pack, format_: Format) -> list[str]:
    remarks = []
    if pack.languages[1:]:
        others = ", ".join(pack.languages[1:])
        remarks.append(f"Answers are written in {pack.languages[0]}; left out: {others}.")
    buttons = sum(len(intent.buttons) for intent in pack.intents.values())
    if buttons:
        remarks.append(f"Buttons are left out ({buttons}): {format_} answers are texts alone.")
    if (people := len(pack.never_answered())) and format_ is Format.RASA:
        remarks.append(
            f"That an intent always goes to a person is not written ({people}): Rasa would answer."
        )
    if pack.replies and format_ is Format.RASA:
        count = len(pack.replies)
        remarks.append(f"Replies are left out ({count}): Rasa has answers of intents alone.")
    return remarks


def _report(plan: Plan, read: list[dict[str, Any]], dry_run: bool) -> dict[str, Any]:
    return {
        "pack": str(plan.folder),
        "new": plan.new,
        "dry_run": dry_run,
        "language": plan.language,
        "sources": read,
        "intents": list(plan.intents),
        "unanswered": list(plan.unanswered),
        "replies": list(plan.replies),
        "examples": plan.examples,
        "answers": plan.answers,
        "test": plan.test,
        "notices": [asdict(notice) for notice in plan.notices],
    }


def _print_folder(plan: Plan) -> None:
    """Which pack it is, and where one begins, which a name alone may not say."""
    said = f"a new pack: {plan.folder.resolve()}" if plan.new else f"the pack: {plan.folder}"
    results().print(said, markup=False)


def _print_plan(plan: Plan, read: list[dict[str, Any]], dry_run: bool) -> None:
    remarks, console = notices(), results()
    for notice in plan.notices[:SHOWN]:
        place = f"{notice.where}: " if notice.where else ""
        remarks.print(shown(f"{place}{notice.message}"), markup=False)
    if plan.notices[SHOWN:]:
        remarks.print(f"… and {len(plan.notices) - SHOWN} more; --json has them all")
    _print_folder(plan)
    for source in read:
        line = "{file}: {examples:,} examples, {answers:,} answers"
        console.print(line.format(**source), markup=False)
    counts = plan.examples
    console.print(
        f"examples: {counts['added']:,} new, {counts['present']:,} there already, "
        f"{counts['conflicts']:,} with another label, {counts['in_test']:,} in test.jsonl, "
        f"{counts['too_long']:,} too long, {counts['completed']:,} merged into a new one"
    )
    counts = plan.answers
    console.print(
        f"answers: {counts['added']:,} new, {counts['present']:,} there already, "
        f"{counts['left_out']:,} left out"
    )
    counts = plan.test
    if counts["read"]:
        console.print(
            f"test: {counts['added']:,} new, {counts['present']:,} there already, "
            f"{counts['conflicts']:,} with another label, {counts['in_examples']:,} in "
            f"examples.jsonl, {counts['too_long']:,} too long, {counts['completed']:,} merged into "
            f"a new one, {counts['unknown']:,} of other intents"
        )
    if plan.intents:
        console.print(f"new intents: {', '.join(plan.intents)}", markup=False)
    if plan.unanswered:
        names = ", ".join(plan.unanswered)
        console.print(f"without an answer, so for a person: {names}", markup=False)
    if plan.replies:
        names = ", ".join(plan.replies)
        console.print(f"new replies, sent by /answer alone: {names}", markup=False)
    for line in _next(plan, dry_run):
        console.print(line, markup=False)


def _next(plan: Plan, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield "Nothing was written (--dry-run)."
    elif plan.empty:
        yield f"There was nothing to add; {plan.folder} stays as it was."
    else:
        yield from _still_needed(plan)
        yield f"Next: frontdesk validate {plan.folder}"


def _still_needed(plan: Plan) -> Iterator[str]:
    """What to take from a packaged pack into a new one whose customers can't ask for a person."""
    from desk.exchange import from_pack
    from desk.validation import asking_for_person, small_talk

    if not plan.new or plan.language != "en":
        return
    if asking_for_person((row.text, row.intent) for row in plan.added):
        return
    # Who has a greeting of their own under another name needs no second one.
    talks = {kind for name in plan.intents for kind in small_talk(name)}
    wanted = [name for name in from_pack.EVERY_DESK if name not in talks]
    yield (
        "Every desk also needs what customers say who want a person, complain, are in danger, ask "
        "whether this is a bot: see docs/packs.md, or "
        f"frontdesk import packs/retail --only {','.join(wanted)} --into {plan.folder}"
    )
