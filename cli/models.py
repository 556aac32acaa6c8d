"""`frontdesk models`: the versions there are, and which one serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_settings, read_pack_settings
from cli.errors import CommandError, MisconfiguredError, wrong_argument
from cli.screen import JsonOption, notices, percent, print_json, results
from cli.standing import Standing, desk_of_verdicts, moment, standing, told

if TYPE_CHECKING:
    from classifier.registry import Version

models = typer.Typer(no_args_is_help=True, help="List versions, promote one, roll back, remove.")


@models.command("list", epilog="Example: frontdesk models list --json")
def list_(json_: JsonOption = False) -> None:
    """The versions in MODELS_DIR, oldest first."""
    from classifier import registry

    settings = read_pack_settings()
    versions = registry.versions(settings.models_dir)
    stands = _standing(settings.models_dir)
    found = _rows(versions, stands)
    if json_:
        print_json(found)
        return
    if not found:
        said = f"No model in {settings.models_dir} yet. Run: frontdesk train"
        notices().print(said, markup=False)
        return
    console = results()
    console.print(f"[bold]{'version':<24} {'intent':>7} {'sentiment':>10}[/]")
    for row in found:
        role = "champion" if row["champion"] else "candidate" if row["candidate"] else ""
        accuracy, f1 = percent(row["accuracy"]), percent(row["sentiment_macro_f1"])
        where = "(validation)" if row["measured_on"] == "validation" else ""
        if row["another_test"]:
            where = "(another test)"
        notes = " ".join(filter(None, (where, _told(row, stands))))
        line = f"{row['version']:<24} {accuracy:>7} {f1:>10}  {role:<9} {notes}".rstrip()
        console.print(line, markup=False)
    another = ""
    if any(row["another_test"] for row in found):
        another = ", and not on the champion's test where it says (another test)"
    console.print(
        "[dim]intent: accuracy, sentiment: macro-F1; on the test set; on held-out examples "
        f"where it says (validation){another}: these do not compare with the others[/]"
    )
    for what, hint in told(stands):
        console.print(f"{what[:1].upper()}{what[1:]}: {hint}", markup=False)


def _standing(folder: Path) -> Standing:
    """With what the gate said, where there is a database; the versions are listed without."""
    from classifier.artifact import ModelError

    try:
        try:
            return _with_verdicts(folder)
        except CommandError as error:
            notices().print(f"What the gate said is not known: {error}", markup=False)
            return standing(folder, None)
    except ModelError as error:
        notices().print(str(error), markup=False)
        return Standing()


def _with_verdicts(folder: Path) -> Standing:
    """Raises `CommandError` where the database can't be asked, or it is not known which it is."""
    from sqlalchemy.exc import SQLAlchemyError

    from desk.domain import DeskError
    from desk.store import failed

    desk = desk_of_verdicts()
    if desk is None:
        return standing(folder, None)
    try:
        return standing(folder, desk)
    except DeskError as error:
        raise CommandError(str(error)) from None
    except SQLAlchemyError as error:
        raise CommandError(str(failed(desk.store.url, error))) from None
    finally:
        desk.store.dispose()


BY = {"hand": "by hand", "run": "by a run", "rollback": "by a rollback"}


def _told(row: dict[str, Any], stands: Standing) -> str:
    """Since when and how it serves, or what the gate said of it."""
    if row["champion"] and stands.since is not None:
        return f"serves since {moment(stands.since)} {BY[stands.by or 'hand']}"
    if row["verdict"] == "rejected":
        return f"rejected ({row['reason']})"
    return row["verdict"] or ""


@models.command(epilog="Example: frontdesk models promote 20261123-143000-ab12cd")
def promote(version: Annotated[str, typer.Argument(help="A version of `models list`.")]) -> None:
    """Let a version serve; workers swap to it between two batches."""
    from classifier import registry

    settings = read_pack_settings()
    with wrong_argument():
        _check_predicts(registry.find_version(settings.models_dir, version))
    before = registry.champion(settings.models_dir)
    registry.promote(settings.models_dir, version)
    results().print(f"{version} serves now (before: {before or 'none'}).", markup=False)


@models.command(epilog="Example: frontdesk models rollback")
def rollback() -> None:
    """Go back to the champion before this one."""
    from classifier import registry

    settings = read_pack_settings()
    before = registry.champion(settings.models_dir)
    back = registry.rollback(settings.models_dir)
    results().print(f"{back.version} serves again (before: {before or 'none'}).", markup=False)
    if back.passed_over:
        gone = ", ".join(back.passed_over)
        results().print(f"Passed over, since the folder is gone: {gone}", markup=False)
    results().print("Training runs promote nothing until: frontdesk models promote VERSION")


@models.command(epilog="Example: frontdesk models remove 20261123-143000-ab12cd")
def remove(
    versions: Annotated[
        list[str], typer.Argument(metavar="VERSION…", help="Versions of `models list`.")
    ],
) -> None:
    """Delete versions for good; the champion and the candidate can't be."""
    from classifier import registry

    settings = read_pack_settings()
    for version in versions:  # where one can't be removed, nothing is
        with wrong_argument():
            registry.find_version(settings.models_dir, version)
        registry.check_removable(settings.models_dir, version)
    for version in dict.fromkeys(versions):
        registry.remove(settings.models_dir, version)
        results().print(f"{version} is removed.")


@models.command(epilog="Example: frontdesk models prune --keep 5 --dry-run")
def prune(
    keep: Annotated[
        int, typer.Option(min=1, help="So many of the last champions stay, to roll back to.")
    ] = 3,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and do nothing.")
    ] = False,
) -> None:
    """Delete the versions that nobody needs: rejected, never promoted, and champions of long ago.

    The champion, the candidate and what is younger than a day stay; after a rollback, until
    somebody promotes by hand, and without AUTO_PROMOTE what was made since the champion serves.
    """
    from classifier import registry

    settings = load_settings()
    found = registry.superfluous(
        settings.models_dir, keep, promoted_by_hand=not settings.auto_promote
    )
    for version in found:
        if not dry_run:
            registry.remove(settings.models_dir, version.name)
        results().print(f"{version.name} {'would be' if dry_run else 'is'} removed.")
    if not found:
        notices().print("There is nothing to remove.")


def _check_predicts(path: Path) -> None:
    """Raise `MisconfiguredError` for a version that can't predict, though its files are whole."""
    from classifier import Classifier
    from classifier.artifact import ModelError

    try:
        # Whether there is room for another one on the workers' device says nothing of the model.
        Classifier.load(path, "cpu")(["warm up"])
    except (ModelError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise MisconfiguredError(
            f"{path.name} can't predict ({type(error).__name__}: {error}), so what serves is left "
            "as it is. Promote another version, or train one."
        ) from error


def _rows(versions: list[Version], stands: Standing) -> list[dict[str, Any]]:
    found = [_row(version, stands) for version in versions]
    champion = next((row for row in found if row["champion"]), None)
    for row in found:
        row["another_test"] = champion is not None and _on_another_test(row, champion)
    return found


def _on_another_test(row: dict[str, Any], champion: dict[str, Any]) -> bool:
    """Whether both were measured on a test, and not on the same, as far as it shows."""
    if not row["measured_on"] == champion["measured_on"] == "test":
        return False
    # Versions of before the hash was kept have their number of rows alone.
    kept = "test_hash" if row["test_hash"] and champion["test_hash"] else "rows"
    return bool(row[kept] != champion[kept])


def _row(version: Version, stands: Standing) -> dict[str, Any]:
    verdict = stands.verdicts.get(version.name)
    since = stands.since if version.is_champion else None
    # The test set where it was measured on one, else what was held out of its training data.
    kinds = ("test", "validation")
    measured = {kind: found for kind in kinds if (found := _part(version.metrics, kind))}
    measured_on = next(iter(measured), None)
    measures = measured[measured_on] if measured_on else {}
    return {
        "version": version.name,
        "created": version.created,
        "champion": version.is_champion,
        "candidate": version.is_candidate,
        "measured_on": measured_on,
        "rows": measures.get("examples"),
        "test_hash": version.metrics.get("test_hash"),
        "accuracy": measures.get("accuracy"),
        "in_scope_accuracy": measures.get("in_scope_accuracy"),
        "sentiment_macro_f1": measures.get("sentiment_macro_f1"),
        "examples": version.metrics.get("examples"),
        "verdict": None if verdict is None else "passed" if verdict.waits else str(verdict.state),
        "reason": None if verdict is None else verdict.reason,
        "serves_since": None if since is None else since.isoformat(),
        "serves_by": stands.by if version.is_champion else None,
        "path": str(version.path),
    }


def _part(metrics: dict[str, Any], kind: str) -> dict[str, Any]:
    """A part of a metrics.json, which anybody may have written; empty where it is no mapping."""
    found = metrics.get(kind)
    return found if isinstance(found, dict) else {}
