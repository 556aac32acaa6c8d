"""A pack's folder, and a pair of bare data files: which checks each of them gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from desk import pack as packs
from desk import pack_file
from desk.pack import Pack, PackError
from desk.sentences import asks
from desk.validation import checks, needs
from desk.validation.findings import Finding, Kind, Severity
from desk.validation.rows import PACK_COLUMNS, DataFile

LONGEST_TITLE = 28
"""Characters of an intent's or a reply's title: a phone cuts off what is too long for a button."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Files that were checked; `about_pack` are findings on pack.yml, which a bare file lacks."""

    train: DataFile
    test: DataFile | None
    about_pack: tuple[Finding, ...] = ()

    @property
    def files(self) -> list[DataFile]:
        return [self.train] if self.test is None else [self.train, self.test]

    @property
    def findings(self) -> list[Finding]:
        """All findings, file by file and line by line; none means clean."""
        found = list(self.about_pack)
        for data in self.files:
            found += sorted(data.findings, key=lambda each: (each.line or 0, each.message))
        return found


def check_pack(folder: Path) -> Checked:
    """A pack's folder: pack.yml, examples.jsonl and test.jsonl."""
    findings: list[Finding] = []
    pack: Pack | None = None
    try:
        pack = packs.load(folder)
    except PackError as error:
        findings += [
            Finding(Severity.ERROR, Kind.PACK, "pack.yml", found.line, found.message)
            for found in error.problems
        ]
    else:
        findings += _warnings(folder, _doubts(pack, folder))
    intents = None if pack is None else pack.intents
    train, test = (
        DataFile(folder / name, name, PACK_COLUMNS, intents)
        for name in ("examples.jsonl", "test.jsonl")
    )
    for data in (train, test):
        checks.check_repeats(data)
    if pack is not None:
        examples = [(row.text, row.intent) for row in train.rows]
        findings += _warnings(folder, [*needs.lacking(pack, examples)])
        name = pack.policy.out_of_scope
        names = [intent for intent in pack.intents if intent != name]
        checks.check_counts(train, names, checks.FEW_EXAMPLES)
        checks.check_counts(test, names, checks.FEW_TESTS)
        checks.check_out_of_scope(train, name, checks.FEW_OUT_OF_SCOPE)
        checks.check_out_of_scope(test, name, checks.FEW_TESTS)
    checks.check_sentiments(train, test)
    checks.check_leaks(train, test)
    return Checked(train, test, tuple(findings))


def check_files(train: Path, test: Path | None = None) -> Checked:
    """A file of examples, JSONL or CSV (by its suffix), and maybe one of tests beside it."""
    checked = Checked(DataFile(train), None if test is None else DataFile(test))
    for data in checked.files:
        checks.check_repeats(data)
    checks.check_own_intents(checked.train, checked.test)
    checks.check_sentiments(checked.train, checked.test)
    if checked.test is not None:
        checks.check_leaks(checked.train, checked.test)
    return checked


def _doubts(pack: Pack, folder: Path) -> list[str]:
    """What a pack works with, but worse than it could."""
    first = pack.languages[0]
    said = [
        f"{where}: there is no text in {language!r}; the one in {first!r} is read instead"
        for where, text in pack.texts()
        for language in pack.languages
        if language not in text
    ]
    said += [
        f"intents.{name}: write a description; the people who label messages go by it"
        for name, intent in pack.intents.items()
        if not intent.description
    ]
    said += [
        f"{where}: the one in {language!r} has {len(title)} characters; {LONGEST_TITLE} fit on a "
        "button"
        for where, text in pack.texts()
        if where.endswith(".title")
        for language, title in text.items()
        if len(title) > LONGEST_TITLE
    ]
    said += [
        f"{where}: the one in {language!r} asks something, and the bot's own question may follow; "
        'write what to do as "If …, …", so that a "yes" has one meaning'
        for where, text in pack.texts()
        if where.endswith(".meanwhile")
        for language, words in text.items()
        if asks(words)
    ]
    called = folder.resolve().name
    if pack.name != called:
        said.append(
            f"name: this is {pack.name!r}, and the folder is called {called!r}; write the folder's "
            "name, since each model notes by it which pack it was trained for"
        )
    return said


def _warnings(folder: Path, said: list[str]) -> list[Finding]:
    root, _ = pack_file.read(folder / "pack.yml")
    lines = [pack_file.line_of(root, each.partition(": ")[0]) for each in said]
    return [
        Finding(Severity.WARNING, Kind.PACK, "pack.yml", line, each)
        for line, each in zip(lines, said, strict=True)
    ]
