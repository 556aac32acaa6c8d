"""What an epoch of training costs, beside the article's loop and transformers' Trainer.

    python benchmarks/train.py [--data FILE] [--examples N] [--epochs 1] [--rounds 1] [--json]

All train the same texts on the same MiniLM, in turn, in one process. Ours is `classifier.fitting`
with the default recipe; the article's loop pads every text to 128 tokens (AdamW 2e-5, batches of
16, fp32); the Trainer has its defaults (padding to the longest of a batch, batches of 8, 5e-5,
fp32) but saves nothing. Only intents are trained. One fifth of the data is held out, and all are
asked about it after the same number of epochs: speed that costs accuracy is none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Before torch: it sets how OpenMP's threads wait.
from benchmarks.common import (
    ARTICLE_LENGTH,
    ROOT,
    Asked,
    Probabilities,
    asking,
    circumstances,
    drawn,
    hold_out,
    indices,
    need,
    new_bert,
    quiet,
    train_article,
)

# isort: split

import torch
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from classifier.backends.torch_backend import torch_backend
from classifier.base import BaseModel, BaseModelError, find_base, load_tokenizer
from classifier.calibration import Calibration, softmax
from classifier.data import DataError, Example, read_examples
from classifier.devices import pick_device
from classifier.engine import Classifier
from classifier.fitting import fit
from classifier.recipe import Recipe, SettledRecipe
from classifier.vocabulary import Labels

WARM_UP = 32
"""Examples of an epoch before the first measured one: kernels are chosen and pages touched."""


@dataclass
class Task:
    """What every contestant gets."""

    examples: list[Example]
    labels: Labels
    base: BaseModel
    device: torch.device
    epochs: int
    seed: int

    @property
    def texts(self) -> list[str]:
        return [example.text for example in self.examples]

    @property
    def truth(self) -> list[int]:
        return indices([example.intent or "" for example in self.examples], self.labels.intents)


@dataclass
class Measured:
    """Of one contestant, a value each round."""

    epoch_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def as_dict(self, examples: int) -> dict[str, float]:
        epoch_s = statistics.median(self.epoch_s)
        return {
            "epoch_s": epoch_s,
            "examples_per_s": examples / epoch_s,
            "whole_run_s": statistics.median(self.whole_s),
            "accuracy": statistics.fmean(self.accuracy),
        }


class Watch:
    """Times the steps from the second on, since the first waits for what is set up once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps = 0
        self._started = self._first = self._now()

    def step(self) -> None:
        """A step has ended."""
        if self._steps == 0:
            self._first = self._now()
        self._steps += 1

    def stop(self, epochs: int) -> tuple[float, float]:
        """(seconds an epoch, seconds in all) of a run that has ended."""
        ended = self._now()
        if self._steps < 2:
            raise DataError("too few examples: one step is nothing to time; take more of them")
        each = (ended - self._first) / (self._steps - 1)
        return each * self._steps / epochs, ended - self._started

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def settled(task: Task) -> SettledRecipe:
    """The default recipe for the task's examples, but for as many epochs as all others get."""
    longest = int(task.base.config.get("max_position_embeddings", 512))
    recipe = Recipe(seed=task.seed).settle(len(task.examples), len(task.labels.intents), longest)
    return replace(recipe, epochs=task.epochs)


def one_view(task: Task) -> SettledRecipe:
    """The default recipe with one pass over the examples an epoch, as the others have it.

    Where examples are few the recipe computes each text twice a step and adds the intents' names.
    It then asks for fewer epochs, so counting such an epoch as one would compare unlike things;
    what it costs is reported beside (`ours_default_recipe`).
    """
    return replace(settled(task), views=1, names=False)


def ours(task: Task, watch: Watch, recipe: SettledRecipe) -> Asked:
    tokenizer = load_tokenizer(task.base)
    tokenizer.enable_truncation(recipe.max_tokens)
    model = fit(
        task.examples,
        task.labels,
        task.base,
        tokenizer,
        recipe,
        task.device,
        lambda _epoch, _loss: watch.step(),
    )

    def ask(texts: Sequence[str]) -> Probabilities:
        backend = torch_backend(model, task.device)
        # Of the fit alone: the neighbours' vote, which the product adds, is no part of an epoch.
        plain = Classifier(backend, tokenizer, task.labels, Calibration(), {"version": "none"})
        logits, _ = plain.logits(texts)
        assert logits is not None
        return softmax(logits)

    return ask


def article(task: Task, watch: Watch) -> Asked:
    return train_article(
        task.texts,
        task.truth,
        len(task.labels.intents),
        task.base.path,
        task.device,
        task.epochs,
        task.seed,
        watch.step,
    )


def trainer(task: Task, watch: Watch) -> Asked:
    torch.manual_seed(task.seed)
    tokenizer = AutoTokenizer.from_pretrained(task.base.path)
    found = tokenizer(task.texts, truncation=True, max_length=ARTICLE_LENGTH)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": label}
        for ids, mask, label in zip(
            found["input_ids"], found["attention_mask"], task.truth, strict=True
        )
    ]

    class Steps(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch.step()

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_train_epochs=task.epochs,
            seed=task.seed,
            use_cpu=task.device.type == "cpu",
            # Neither is training: no files, no bar.
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        # Given a tokenizer it pads each batch to its longest (DataCollatorWithPadding).
        run = Trainer(
            new_bert(task.base.path, len(task.labels.intents)),
            settings,
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[Steps()],
        )
        run.train()
    return asking(run.model, tokenizer)


Contestant = Callable[[Task, Watch], Asked]
"""Trains, telling the watch of each step; gives the model."""


def contestants(task: Task) -> dict[str, Contestant]:
    """Those of a run; the whole default recipe only where it is more than one pass an epoch."""
    found: dict[str, Contestant] = {
        "ours": lambda task, watch: ours(task, watch, one_view(task)),
        "article": article,
        "trainer": trainer,
    }
    if settled(task) != one_view(task):
        found["ours_default_recipe"] = lambda task, watch: ours(task, watch, settled(task))
    return found


def measure(task: Task, asked: Sequence[Example], rounds: int) -> dict[str, Measured]:
    """All contestants in turn; who begins changes from round to round."""
    names = contestants(task)
    found = {name: Measured() for name in names}
    for name, train in names.items():
        say(f"warm-up: {name}")
        small = replace(task, examples=task.examples[:WARM_UP], epochs=1)
        train(small, Watch(task.device))
    for number in range(rounds):
        order = list(names)
        order = order[number % len(order) :] + order[: number % len(order)]
        for name in order:
            own = replace(task, seed=number + 1)
            watch = Watch(task.device)
            model = names[name](own, watch)
            epoch_s, whole_s = watch.stop(task.epochs)
            best = model([e.text for e in asked]).argmax(axis=1)
            right = [task.labels.intents[i] == e.intent for i, e in zip(best, asked, strict=True)]
            found[name].epoch_s.append(epoch_s)
            found[name].whole_s.append(whole_s)
            found[name].accuracy.append(statistics.fmean(right))
            say(f"round {number + 1}: {name} {epoch_s:.1f} s an epoch, {whole_s:.1f} s in all")
    return found


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def summary(task: Task, found: dict[str, Measured], rounds: int) -> dict[str, Any]:
    count = len(task.examples)
    tables = {name: measured.as_dict(count) for name, measured in found.items()}

    def ratio(other: str, key: str = "epoch_s", own: str = "ours") -> float:
        return round(tables[other][key] / tables[own][key], 2)

    result: dict[str, Any] = {
        # One pass over the same examples each (`one_view`), without what is set up once a run.
        "ratio_to_article": ratio("article"),
        "ratio_to_trainer": ratio("trainer"),
        # From texts to the trained model: loading, tokenising, starting the head and averaging.
        "ratio_to_article_whole_run": ratio("article", "whole_run_s"),
        "ratio_to_trainer_whole_run": ratio("trainer", "whole_run_s"),
    }
    if (own := "ours_default_recipe") in tables:
        # An epoch as the recipe has it here: every text `views` times, and the intents' names.
        result["ratio_to_article_default_recipe_epoch"] = ratio("article", own=own)
        result["ratio_to_trainer_default_recipe_epoch"] = ratio("trainer", own=own)
    default = Recipe().settle(count, len(task.labels.intents))
    return {
        **result,
        **{
            name: {key: round(value, 4) for key, value in table.items()}
            for name, table in tables.items()
        },
        "default_recipe": {
            "epochs": default.epochs,
            "views": default.views,
            "names": default.names,
            "batch_size": default.batch_size,
        },
        "examples": count,
        "intents": len(task.labels.intents),
        "epochs": task.epochs,
        "rounds": rounds,
    }


def prepare(data: Path, count: int | None) -> tuple[list[Example], list[Example], Labels]:
    """(to train on, held out, labels); of the intents alone, since the others learn only one."""
    known = [replace(e, sentiment=None) for e in read_examples(data) if e.intent is not None]
    if not known:
        raise DataError(f"{data}: has no intents")
    kept, asked = hold_out(known)
    kept = drawn(kept, count)
    labels = Labels(tuple(sorted({e.intent or "" for e in kept})), ())
    if len(labels.intents) < 2:
        raise DataError(f"{data}: one intent only, nothing to tell apart")
    # A drawn subset may lack an intent; nobody can know it then.
    asked = [e for e in asked if e.intent in labels.intents]
    if not asked:
        raise DataError(f"{data}: nothing is held out of the intents drawn; more --examples")
    return kept, asked, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=ROOT / "packs" / "retail" / "examples.jsonl")
    parser.add_argument("--examples", type=int, help="train on so many of them only")
    parser.add_argument("--epochs", type=int, default=1, help="of everyone, in each round")
    parser.add_argument("--rounds", type=int, default=1, help="medians are over so many")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or arguments.rounds < 1:
        parser.error("--epochs and --rounds must be at least 1")
    need("accelerate")
    quiet()
    about = circumstances("accelerate")
    try:
        examples, asked, labels = prepare(arguments.data, arguments.examples)
        task = Task(examples, labels, find_base(), pick_device(), arguments.epochs, 1)
        # The Trainer prints its figures where the JSON goes.
        with redirect_stdout(sys.stderr):
            found = measure(task, asked, arguments.rounds)
    except (DataError, BaseModelError) as error:
        raise SystemExit(str(error)) from None
    result = summary(task, found, arguments.rounds)
    result |= {"data": arguments.data.name, "held_out": len(asked), **about}
    result["machine"] |= {"device": str(task.device), "load_after": os.getloadavg()[0]}
    if arguments.json:
        print(json.dumps(result))
        return
    for name in found:
        table = result[name]
        print(
            f"{name:20} {table['epoch_s']:8.1f} s an epoch "
            f"{table['examples_per_s']:8.1f} examples/s   "
            f"accuracy {table['accuracy']:.3f} after {task.epochs}"
        )
    for other, key in (("the article's loop", "article"), ("the Trainer", "trainer")):
        print(f"an epoch of {other} takes {result[f'ratio_to_{key}']} x ours")


if __name__ == "__main__":
    main()
