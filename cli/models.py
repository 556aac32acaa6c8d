"""`frontdesk models`: the versions there are, and which one serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_settings
from cli.screen import JsonOption, notices, percent, print_json, results

if TYPE_CHECKING:
    from classifier.registry import Version

models = typer.Typer(no_args_is_help=True, help="List model versions, promote one, roll back.")


@models.command("list", epilog="Example: frontdesk models list --json")
def list_(json_: JsonOption = False) -> None:
    """The versions in MODELS_DIR, oldest first."""
    from classifier import registry

    settings = load_settings()
    found = [_row(version) for version in registry.versions(settings.models_dir)]
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
        console.print(f"{row['version']:<24} {accuracy:>7} {f1:>10}  {role}")
    console.print(
        "[dim]intent: accuracy, sentiment: macro-F1; on the test set, if there was one[/]"
    )


@models.command(epilog="Example: frontdesk models promote 20261123-143000-ab12cd")
def promote(version: Annotated[str, typer.Argument(help="A version of `models list`.")]) -> None:
    """Let a version serve; workers swap to it between two batches."""
    from classifier import registry

    settings = load_settings()
    before = registry.champion(settings.models_dir)
    registry.promote(settings.models_dir, version)
    results().print(f"{version} serves now (before: {before or 'none'}).")


@models.command(epilog="Example: frontdesk models rollback")
def rollback() -> None:
    """Go back to the champion before this one."""
    from classifier import registry

    settings = load_settings()
    before = registry.champion(settings.models_dir)
    version = registry.rollback(settings.models_dir)
    results().print(f"{version} serves again (before: {before}).")


def _row(version: Version) -> dict[str, Any]:
    # The test set where it was measured on one, else what was held out of its training data.
    measures = version.metrics.get("test") or version.metrics.get("validation") or {}
    return {
        "version": version.name,
        "created": version.created,
        "champion": version.is_champion,
        "candidate": version.is_candidate,
        "accuracy": measures.get("accuracy"),
        "in_scope_accuracy": measures.get("in_scope_accuracy"),
        "sentiment_macro_f1": measures.get("sentiment_macro_f1"),
        "examples": version.metrics.get("examples"),
        "path": str(version.path),
    }
