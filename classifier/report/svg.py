"""The page's plots, as SVG text.

They are drawn by hand and not by a plotting library: so a cell of a matrix can have its tooltip,
one style sheet gives light and dark, the page stays small, and a training needs no such library.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from unicodedata import east_asian_width

from classifier.arrays import Float64
from classifier.evaluate import Outcomes

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 22, 14, 44
HISTOGRAM_BINS = 20
LONGEST_LABEL = 40


def histogram(right: Float64, wrong: Float64) -> str:
    """How sure the right answers were (upwards) and the wrong ones (downwards).

    Each side has its own scale: beside the many right ones the wrong ones would not be seen.
    """
    middle = TOP + (HEIGHT - TOP - BOTTOM) * 0.58
    parts = []
    for name, values, end in (("hit", right, TOP + 4), ("miss", wrong, HEIGHT - BOTTOM - 4.0)):
        counts = [0] * HISTOGRAM_BINS
        for value in values:
            counts[min(int(value * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        most = max(counts)
        step = _step(most)
        for tick in range(step, most + 1, step):
            y = middle + (end - middle) * tick / most
            parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _left_tick(y, f"{tick:,}")]
        for number, count in enumerate(counts):
            if not count:
                continue
            y = middle + (end - middle) * count / most
            low, high = number / HISTOGRAM_BINS, (number + 1) / HISTOGRAM_BINS
            what = "right" if name == "hit" else "wrong"
            parts.append(
                _box(
                    *(_x(low) + 1, min(y, middle), _x(high) - _x(low) - 2, abs(y - middle)),
                    name,
                    f"{low:.2f} to {high:.2f}: {count:,} {what}",
                )
            )
    parts += [
        _line(LEFT, middle, WIDTH - RIGHT, middle, "axis"),
        _left_tick(middle, "0"),
        _text(LEFT + 8, TOP + 12, f"right ({len(right):,})", "start strong"),
        _text(LEFT + 8, HEIGHT - BOTTOM - 6, f"wrong ({len(wrong):,})", "start strong"),
        *_share_ticks("confidence", percent=False),
    ]
    return _figure(WIDTH, HEIGHT, "Histogram of the confidence of right and wrong answers", parts)


def reliability(bins: Sequence[dict[str, float]]) -> str:
    """Confidence against accuracy; on the diagonal, the confidence means what it says."""
    most = max((each["rows"] for each in bins), default=1)
    parts = [*_share_grid()]
    parts.append(_line(_x(0), _y(0), _x(1), _y(1), "ideal"))
    for each in bins:
        x, y = _x(each["confidence"]), _y(each["accuracy"])
        gap = (
            f"{each['rows']:,.0f} texts between {each['above']:.2f} and {each['to']:.2f}: "
            f"confidence {each['confidence']:.1%}, accuracy {each['accuracy']:.1%}"
        )
        parts += [
            _line(x, _y(each["confidence"]), x, y, "gap"),
            _dot(x, y, 3 + 9 * math.sqrt(each["rows"] / most), "dot", gap),
        ]
    parts += [*_share_ticks("confidence"), _side_label("accuracy")]
    return _figure(WIDTH, HEIGHT, "Reliability diagram: confidence against accuracy", parts)


def risk_coverage(curve: Sequence[dict[str, float]], coverage: float, error: float | None) -> str:
    """The share of wrong answers against the share of answered texts; `coverage` and `error` (None
    where nothing is answered) are those of the thresholds in force, marked by a dot."""
    end = curve[-1]["risk"] if curve else 0.0
    risk = error or 0.0
    top = _round_up(1.4 * max(end, risk, 0.007))
    parts = []
    for number in range(5):
        value = top * number / 4
        y = _y(value / top)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _left_tick(y, _percent(value))]
    # The surest few may hold an error, which makes a spike of any height at the very left.
    points = [(_x(each["coverage"]), _y(min(each["risk"] / top, 1.0))) for each in curve]
    if points:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve" points="{path}"/>')
    x, y = _x(coverage), _y(min(risk / top, 1.0))
    said = f"{coverage:.1%} answered" + ("" if error is None else f", {risk:.1%} wrong")
    anchor = "end" if coverage > 0.5 else "start"
    parts += [
        _dot(x, y, 6, "dot now", said),
        _text(x + (-10 if coverage > 0.5 else 10), y - 12, said, f"{anchor} strong"),
        *_share_ticks("coverage (answered without a person)"),
        _side_label("risk (wrong among these)"),
    ]
    return _figure(WIDTH, HEIGHT, "Risk-coverage curve", parts)


def confusion_matrix(outcomes: Outcomes) -> str:
    """Counts of predicted (columns) by true label (rows), at its natural size.

    A cell's depth is its share of its row; a tooltip names both labels.
    """
    labels = sorted({*outcomes.truth, *outcomes.first})
    counts = Counter(zip(outcomes.truth, outcomes.first, strict=True))
    support = Counter(outcomes.truth)
    place = {label: number for number, label in enumerate(labels)}
    cell, font = (36, 13) if len(labels) <= 12 else (22, 12) if len(labels) <= 32 else (13, 10)
    room = max(_ems(shorten(label)) for label in labels) * font + 10
    size = cell * len(labels)
    lines = "".join(
        f"M{room:.1f} {room + at:.1f}h{size}M{room + at:.1f} {room:.1f}v{size}"
        for at in range(0, size + 1, cell)
    )
    parts = [f'<path class="grid" d="{lines}"/>']
    for (true, predicted), count in sorted(counts.items()):
        x, y = room + cell * place[predicted], room + cell * place[true]
        share = count / support[true]
        kind = "hit" if true == predicted else "miss"
        depth = " deep" if share > 0.45 else ""
        named = f"{true}, taken for {predicted}" if kind == "miss" else f"{true}, recognised"
        parts.append(
            f'<g class="cell {kind}{depth}">{_title(f"{named}: {count:,} of {support[true]:,}")}'
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell}" height="{cell}" '
            f'fill-opacity="{0.15 + 0.85 * share:.2f}"/>'
            f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2:.1f}" '
            f'font-size="{_fitting(count, cell, font)}">{count}</text></g>'
        )
    for label, number in place.items():
        at = room + cell * (number + 0.5)
        name, full = escape(shorten(label)), _title(label)
        parts.append(
            f'<text class="end" x="{room - 5:.1f}" y="{at:.1f}" font-size="{font}">'
            f"{name}{full}</text>"
            f'<text class="start" transform="translate({at:.1f} {room - 5:.1f}) rotate(-90)" '
            f'font-size="{font}">{name}{full}</text>'
        )
    whole = room + size + 2
    return _figure(
        whole,
        whole,
        "Confusion matrix: true labels in rows, predicted in columns",
        parts,
        fixed=True,
    )


def _fitting(count: int, cell: int, font: int) -> float:
    """The font size at which a count fits its cell."""
    return round(min(font, (cell - 2) / (0.58 * len(str(count)))), 1)


def shorten(label: str) -> str:
    """A label as it fits beside a matrix."""
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _step(most: int) -> int:
    """The distance of two to five ticks up to `most`."""
    if most < 3:
        return 1
    power: int = 10 ** int(math.log10(most / 2))
    return next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) < 4.5)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6 or 10 times a power of ten; at most 1."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return min(1.0, next(f * power for f in (1, 2, 4, 6, 10) if f * power >= value - 1e-12))


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _share_grid() -> list[str]:
    parts = []
    for number in range(6):
        y = _y(number / 5)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _left_tick(y, f"{20 * number} %")]
    return parts


def _share_ticks(label: str, percent: bool = True) -> list[str]:
    """The horizontal axis from 0 to 1."""
    y = HEIGHT - BOTTOM
    ticks = [
        _text(_x(n / 5), y + 16, f"{20 * n} %" if percent else f"{n / 5:.1f}", "middle")
        for n in range(6)
    ]
    return [
        _line(LEFT, y, WIDTH - RIGHT, y, "axis"),
        *ticks,
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, label, "middle strong"),
    ]


def _side_label(label: str) -> str:
    y = (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<text class="middle strong" transform="translate(10 {y:.1f}) rotate(-90)">'
        f"{escape(label)}</text>"
    )


def _left_tick(y: float, text: str) -> str:
    return _text(LEFT - 6, y, text, "end")


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _ems(text: str) -> float:
    """About how wide a text is, in sizes of its font: a page can't know its reader's fonts."""
    return sum(map(_em, text))


def _em(character: str) -> float:
    if character in "MWmw" or east_asian_width(character) in "WF":
        return 1.0
    return 0.75 if character.isupper() else 0.62


def _box(x: float, y: float, width: float, height: float, name: str, tip: str) -> str:
    return (
        f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"{_title(tip)}</rect>"
    )


def _dot(x: float, y: float, radius: float, name: str, tip: str) -> str:
    return (
        f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{_title(tip)}</circle>'
    )


def _text(x: float, y: float, text: str, name: str) -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _figure(
    width: float, height: float, label: str, parts: Iterable[str], fixed: bool = False
) -> str:
    size = f' width="{width:.0f}" height="{height:.0f}"' if fixed else ""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}"{size} role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
