"""PromQL as far as a test needs it: which metrics and labels a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from desk import metrics

NAME = re.compile(r"\b(?P<name>frontdesk_\w+|process_\w+|up)\b(?:\{(?P<matchers>[^}]*)\})?")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\((?P<labels>[^)]*)\)")
MATCHER = re.compile(r'(?P<label>\w+)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"')
PARTS = ("_bucket", "_sum", "_count")

OF_THE_SCRAPE = frozenset({"job", "instance", "process"})
"""Labels that prometheus.yml gives to every series."""


def labels() -> dict[str, tuple[str, ...]]:
    """Every metric's name as one writes it in a query, with its labels.

    A histogram stands here by the name of its family; queries add `_bucket`, `_sum`, `_count`.
    """
    found = {read.name: read.labels for read in metrics.READ}
    several = (each for some in metrics.OF.values() for each in some)
    for metric in {*metrics.OF_EVERY_PROCESS, *several}:
        [family] = metric.collect()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = metric._labelnames
    return found


def problems(query: str, known: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What a query names and the vocabulary does not have."""
    allowed: set[str] = set(OF_THE_SCRAPE)
    for match in NAME.finditer(query):
        name, matchers = match["name"], match["matchers"] or ""
        if name.startswith("frontdesk_"):
            family = next((name.removesuffix(p) for p in PARTS if name.endswith(p)), name)
            family = name if name in known else family
            if family not in known:
                yield f"{name} is no metric"
                continue
            labels = {*known[family], *(("le",) if name.endswith("_bucket") else ())}
        else:
            labels = set()
        allowed |= labels
        for label in re.findall(MATCHER, matchers):
            if label not in labels | OF_THE_SCRAPE:
                yield f"{name} has no label {label}"
    for match in GROUPING.finditer(query):
        for label in filter(None, re.split(r"[,\s]+", match["labels"])):
            if label not in allowed:
                yield f"no metric of the query has the label {label}"
