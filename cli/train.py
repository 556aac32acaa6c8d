"""`frontdesk train`: a model out of a file, out of the pack, or out of what people taught."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_pack, load_settings, open_desk, read_model_settings, redis_url
from cli.errors import (
    CommandError,
    MisconfiguredError,
    ended_in_order,
    wrong_argument,
    wrong_settings,
)
from cli.options import check_test, evidence_sentence, measuring, read_labelled, tell_repeats
from cli.screen import JsonOption, notices, percent, print_json, results, training_progress

if TYPE_CHECKING:
    from classifier.data import Example
    from classifier.recipe import Recipe
    from desk.settings import ModelSettings, Settings

RARELY = 0.2
"""The share of an intent's texts below which it is hardly answered at all."""
LARGEST_SEED = 2**63 - 1
"""torch takes no larger one."""
REASONS = {
    "accuracy": "Rejected: it is less accurate than the champion.",
    "best": "Rejected: it is too much less accurate than the best model so far.",
    "person": "Rejected: it is worse than the champion at texts that always need a person.",
    "wrong": "Rejected: it would answer more texts wrongly than the champion.",
    "coverage": "Rejected: it would answer much less automatically than the champion.",
    "best_coverage": "Rejected: it would answer much less automatically than an earlier model.",
    "gold": "Rejected: it is worse than the champion on the operators' labels set aside.",
    "sentiment": "Rejected: it is worse at sentiments than the champion.",
    "held": "Held: the last act by hand was a rollback, so somebody must look first. If it may "
    "serve: frontdesk models promote {version}. Then runs promote by themselves again.",
    "by_hand": "It passed the gate, and waits: runs promote nothing here (AUTO_PROMOTE). To see "
    "what would change: frontdesk compare champion {version}. If it may serve: frontdesk models "
    "promote {version}.",
}


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            help="JSONL, CSV or nlu.yml with text, intent (or label), sentiment; else the pack's."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the model; else a version in MODELS_DIR.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Data to measure the model on; never trained on.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="minilm, a folder or a hub id (default: BASE_MODEL).")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N (default: DEVICE).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Seed of everything random (default: 1)."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data (default: by its size).")
    ] = None,
    from_feedback: Annotated[
        bool,
        typer.Option("--from-feedback", help="Train on the pack and what people taught; gated."),
    ] = False,
    wait: Annotated[
        bool, typer.Option(help="With --from-feedback: train here, or leave it to the worker.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json_: JsonOption = False,
) -> None:
    """Train a model.

    With --data, on that file. With --from-feedback, on the pack and what operators and customers
    taught: it becomes the champion only if the gate finds it no worse. With neither, on
    the pack: a new version, which becomes the champion if there is none.
    """
    given = {"base_model": base, "device": device}
    changes = {k: v for k, v in given.items() if v is not None}
    if from_feedback:
        if data or out or test or epochs or seed is not None:
            raise MisconfiguredError(
                "--from-feedback takes its data from the database and the pack: "
                "leave out --data, --out, --test, --epochs and --seed."
            )
        result = _from_feedback(load_settings(**changes), wait, quiet)
    elif not wait:
        raise MisconfiguredError(
            "--no-wait leaves a run with --from-feedback to the training worker; any other "
            "training is done here: leave it out, or add --from-feedback."
        )
    else:
        settings = read_model_settings(**changes)
        result = _from_file(settings, data, out, test, 1 if seed is None else seed, epochs, quiet)
    if json_:
        print_json(result)
    else:
        _print_result(result, of_pack=data is None)


def _from_file(
    settings: ModelSettings,
    data: Path | None,
    out: Path | None,
    test: Path | None,
    seed: int,
    epochs: int | None,
    quiet: bool,
) -> dict[str, Any]:
    from classifier import artifact, registry
    from classifier.data import read_placed
    from classifier.recipe import Recipe
    from workers.pack_check import check_out_of_scope
    from workers.recipe import recipe_of

    if data is None:
        pack = load_pack(settings)
        with wrong_argument():
            check_out_of_scope(pack, read_placed(settings.pack_dir / "examples.jsonl"))
        recipe = recipe_of(pack, seed=seed, epochs=epochs)
    else:  # a file says nothing of the errors that answers may have
        recipe = Recipe(seed=seed, epochs=epochs)
    source = data or settings.pack_dir / "examples.jsonl"
    examples = read_labelled(source)
    _warn_of_labels(examples, data or settings.pack_dir)
    held = test or (None if data else settings.pack_dir / "test.jsonl")
    test_examples = None
    if held and (test or held.is_file()):
        test_examples = read_labelled(held)
        if test:
            test_examples = measuring(test_examples, held)
        check_test(examples, source, test_examples, held)
    if out is not None:
        _refuse_pointers(out, settings.models_dir)
        with wrong_argument():
            artifact.check_target(out)
    else:  # what is no pointer is told before the minutes of a training
        registry.champion(settings.models_dir)
    if not quiet:
        console = notices()
        said = f"{len(examples):,} examples from {source}, base model {settings.base_model}"
        console.print(said, markup=False)
    with wrong_settings(), ended_in_order():
        metrics, path = _fit(settings, examples, test_examples, out, recipe, quiet)
    promoted = out is None and _become_first_champion(settings.models_dir, path.name)
    intents = len({e.intent for e in examples if e.intent})
    rarely = _rarely_answered(metrics, recipe)
    told = {"intents": intents, "rarely_answered": rarely}
    return {"model": str(path), "promoted": promoted, **told, **metrics}


def _rarely_answered(metrics: dict[str, Any], recipe: Recipe) -> list[str]:
    """The intents of whose held-out texts fewer than `RARELY` would be answered, where any are; but
    for those that people always answer."""
    from classifier.vocabulary import OUT_OF_SCOPE

    if metrics["promise"] is None:
        return []
    left = OUT_OF_SCOPE.union(recipe.never_answered)
    return [
        name
        for name, row in metrics["validation"].get("intents", {}).items()
        if name not in left and row["support"] and row["answered"] < RARELY
    ]


def _refuse_pointers(out: Path, models: Path) -> None:
    """Raise `MisconfiguredError` where a model would stand in the way of all versions."""
    from classifier import registry

    place, folder = out.resolve(), models.resolve()
    if place in (folder, folder / registry.CHAMPION, folder / registry.CANDIDATE):
        raise MisconfiguredError(
            f"{out} is where MODELS_DIR keeps its versions, or points to one: name another folder, "
            "or leave out --out for a new version there."
        )


def _become_first_champion(models: Path, version: str) -> bool:
    """Promote a version if no other serves; says so where one was promoted at that very moment."""
    from classifier import artifact, registry

    if registry.champion(models) is not None:
        return False
    try:
        registry.promote(models, version, instead_of=None)
    except artifact.ModelError:
        serving = registry.champion(models)
        if serving is None:
            raise
        said = f"{version} was not promoted: meanwhile {serving} has become the champion."
        notices().print(said, markup=False)
        return False
    return True


def _warn_of_labels(examples: list[Example], source: Path) -> None:
    """Say so where rows are sure to teach what is wrong, or hardly anything, or prove less than
    their number."""
    from classifier.likeness import normalised
    from classifier.vocabulary import OUT_OF_SCOPE, one_label
    from desk.exchange.names import slug
    from desk.validation import exact_key

    meant: defaultdict[str, set[str]] = defaultdict(set)
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.intent:
            intent = one_label(example.intent)
            meant[exact_key(example.text)].add(intent)
            texts[intent].add(normalised(example.text))
    torn = sum(len(intents) > 1 for intents in meant.values())
    single = sum(len(its) == 1 for its in texts.values())
    if torn or single:
        # Each of the trial models has to have seen every intent, so that one is never asked about.
        left_out = " (which the validation leaves out)" if single else ""
        notices().print(
            f"texts under more than one intent: {torn:,}; intents with one text: "
            f"{single:,}{left_out}. See frontdesk validate {source}",
            markup=False,
        )
    for name in sorted(set(texts) - OUT_OF_SCOPE):
        if slug(name) in OUT_OF_SCOPE:
            notices().print(
                f"intent {name} is an intent like others; for what is out of scope write oos",
                markup=False,
            )
    proving = [example for example in examples if example.measures]
    of = source if len(proving) == len(examples) else f"{source} that measure"
    tell_repeats(proving, of, "what is proven counts")


def _fit(
    settings: ModelSettings,
    examples: list[Example],
    test: list[Example] | None,
    out: Path | None,
    recipe: Recipe,
    quiet: bool,
) -> tuple[dict[str, Any], Path]:
    from classifier import registry
    from classifier.training import train_to_directory, train_version

    options: dict[str, Any] = {
        "base": settings.base_model,
        "recipe": recipe,
        "test": test,
        "device": settings.device,
    }
    with _progress("Training", quiet) as step:
        if out is not None:
            return train_to_directory(examples, out, progress=step, **options), out
        registry.sweep(settings.models_dir)
        version, metrics = train_version(examples, settings.models_dir, progress=step, **options)
        return metrics, settings.models_dir / version


def _from_feedback(settings: Settings, wait: bool, quiet: bool) -> dict[str, Any]:
    from desk import logs
    from desk.domain import RunState
    from desk.flow import runs

    # What the worker's code logs must not get between the lines of a result.
    logs.configure("train", "WARNING")
    desk = open_desk(settings)
    by = "the command line"
    if not wait:
        run_id, attempt = runs.order_run(desk, by)
        return {"run": run_id, "state": "queued", "worker": _enqueue(settings, run_id, attempt)}
    from workers.training import Trainer

    trainer = Trainer(
        desk,
        settings.models_dir,
        settings.pack_dir,
        settings.base_model,
        settings.device,
        settings.auto_promote,
    )
    with ended_in_order():
        run_id, attempt = runs.order_run(desk, by, begin=True)
        try:
            with wrong_settings(), _progress(f"Training run {run_id}", quiet) as step:
                trainer.carry_out(run_id, attempt, step)
        except (KeyboardInterrupt, SystemExit):
            # Or the scheduler would take it for one that died, and begin it anew.
            runs.finish_run(desk, run_id, attempt, RunState.FAILED, error="interrupted")
            raise
    run = runs.get_run(desk, run_id)
    return {"run": run.id, "state": str(run.state), "version": run.version, "report": run.report}


def _enqueue(settings: Settings, run_id: int, attempt: int) -> bool:
    """Tell the training worker at once; without Redis the scheduler does it later."""
    import redis

    from desk import queues

    try:
        with redis.Redis.from_url(redis_url(settings), socket_timeout=3) as connection:
            queues.enqueue_train(connection, run_id, attempt)
    except (CommandError, redis.exceptions.RedisError, ValueError):
        return False
    return True


@contextmanager
def _progress(title: str, quiet: bool) -> Iterator[Any]:
    if quiet:
        yield None
    else:
        with training_progress(title) as step:
            yield step


def _print_result(result: dict[str, Any], of_pack: bool) -> None:
    console = results()
    if "run" in result:
        _print_run(result)
        return
    console.print(f"Model {result['model']} trained in {result['seconds']:.0f} s", markup=False)
    _print_figures(result)
    if not result["intents"]:
        console.print("  it knows no intents, so nothing is answered automatically")
    elif result["promise"] is not None:
        console.print(f"  {result['promise']}", markup=False)
        if rarely := result["rarely_answered"]:
            said = f"  Of the held-out texts answered in under a fifth: {', '.join(rarely)}"
            console.print(said, markup=False)
    else:
        share = f"{100 * result['target_error']:.3g} %"
        # With --data the pack is not read, whatever it allows.
        more = ", or a higher target_error in pack.yml," if of_pack else ""
        own = "; an intent's own threshold there answers at your own risk" if of_pack else ""
        console.print(
            f"  the examples don't prove that at most {share} of the automatic answers are wrong, "
            f"so nothing is answered unasked: {evidence_sentence(result['evidence'])}. More "
            f"examples{more} may change that{own}. See frontdesk thresholds"
        )
    if result["promoted"]:
        console.print("It is the champion now: workers take it over within a second.")
    elif Path(result["model"]).name == result.get("version"):
        console.print(f"To let it serve: frontdesk models promote {result['version']}")
    else:
        data = "" if of_pack else " --data FILE (labelled texts that are not in the training data)"
        console.print(
            f"Measure it: frontdesk evaluate --model {result['model']}{data}", markup=False
        )
        also = "" if of_pack else " (and without --data, for the pack's intents and rules)"
        console.print(f"To get a model that can serve, train without --out{also}")


def _print_figures(result: dict[str, Any]) -> None:
    from classifier.upset import upset_sentence

    console = results()
    upset: dict[str, Any] = {}
    for name in ("validation", "test"):
        measures = result.get(name) or {}
        if not measures:
            continue
        answers = ""
        if result["promise"] is not None:
            answers = f" · would answer {percent(measures.get('coverage'))} of these texts"
        console.print(
            f"  {name:<11} intent {percent(measures.get('accuracy'))} · "
            f"sentiment macro-F1 {percent(measures.get('sentiment_macro_f1'))}{answers}"
        )
        if "upset" in measures:
            upset = measures["upset"]
            console.print(f"{'':<14}{upset_sentence(upset)}")
    if upset and 2 * upset["seen"] < upset["texts"]:
        console.print(
            "  Few of the upset are seen, so few of them get a person: docs/packs.md (Upset "
            "customers) has what to do"
        )


def _print_run(result: dict[str, Any]) -> None:
    console, run = results(), result["run"]
    match result["state"]:
        case "queued" if result.get("worker"):
            console.print(f"Training run {run} is queued; the training worker tells the verdict.")
        case "queued":
            console.print(f"Training run {run} is queued until a scheduler and a worker run.")
        case state:
            report = result.get("report") or {}
            console.print(f"Training run {run}: {state} – {result['version']}", markup=False)
            for said, figure in (("accuracy", "accuracy"), ("answered automatically", "coverage")):
                new, old = (report.get(f"{whose}_{figure}") for whose in ("candidate", "champion"))
                _print_beside(said, percent(new), None if old is None else percent(old))
            if report.get("gold"):
                said = f"of {report['gold']} labels set aside (texts hard for the champion), right"
                _print_beside(said, str(report["candidate_gold"]), str(report["champion_gold"]))
            for fell in report.get("fell") or ():
                said = f"fell: {fell['intent']}, right of {fell['rows']}"
                _print_beside(said, str(fell["candidate"]), str(fell["champion"]))
            if report.get("reason") in REASONS:
                why = REASONS[report["reason"]].format(version=result["version"])
                console.print(f"  {why}", markup=False)


def _print_beside(said: str, new: str, old: str | None) -> None:
    champion = "" if old is None else f", champion so far {old}"
    results().print(f"  {said}: new model {new}{champion}", markup=False)
