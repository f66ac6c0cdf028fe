"""Where the champion is weakest: declared slices, and the parts of one or two columns with the largest loss.

Every part is compared with all other rows. How much days that share their luck widen a difference is hard to tell
from the few days of one window and one small part, so it is pooled over all parts (their median) for the search,
which is corrected for its size (Benjamini and Hochberg); and what is found must also lie above zero by its own
blocks. A part that passes only one of the two is not called weak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.estimates import Estimate
from lifecycle.worth import SegmentFinding
from monitoring.block_ratios import MIN_BLOCKS, Floats, Integers, Ratio, discoveries, numbered, ratio
from monitoring.columns import numbers_of

MIN_ROWS = 100
"""A smaller part is not looked at."""

FLOOR = 0.1
"""A part whose loss is not this much (relative) above that of the other rows does not count as weak."""

RATE = 0.05
SHOWN = 5
_VALUES, _BINS, _PAIRED = 10, 4, 8
_AND = " & "


@dataclass(frozen=True, slots=True, eq=False)
class Parting:
    """One column cut into parts.

    Attributes:
        names: of the parts.
        codes: part of each row; the last number means none of them.
    """

    column: str
    names: tuple[str, ...]
    codes: Integers

    def with_(self, other: Parting) -> Parting:
        """The parts of two columns at once."""
        names = tuple(f"{mine}{_AND}{theirs}" for mine in self.names for theirs in other.names)
        outside = (self.codes >= len(self.names)) | (other.codes >= len(other.names))
        codes = np.where(outside, len(names), self.codes * len(other.names) + other.codes)
        return Parting(f"{self.column}{_AND}{other.column}", names, codes)


def parting(column: pd.Series[Any], *, most: int = _VALUES) -> Parting:
    """Cut a column: few values as they are, numbers of many values by quarters, texts by their most frequent ones."""
    name = str(column.name)
    numbers = numbers_of(column)
    if numbers is not None and np.unique(numbers).size > most:
        return _quarters(name, column.to_numpy(dtype=np.float64, na_value=np.nan), numbers)
    texts = column.astype(object).where(column.isna(), column.astype(str)).where(column.notna(), "null")
    counts = texts.value_counts()
    kept = sorted(counts.index, key=lambda value: (-counts[value], value))[:most]
    codes = pd.Index(kept).get_indexer(pd.Index(texts))
    return Parting(name, tuple(f"{name}={value}" for value in kept), np.where(codes < 0, len(kept), codes))


def _quarters(name: str, values: Floats, finite: Floats) -> Parting:
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, _BINS + 1)))
    known = np.isfinite(values)
    codes = np.full(values.size, len(edges) - 1)
    codes[known] = np.clip(np.searchsorted(edges, values[known], side="left") - 1, 0, len(edges) - 2)
    names = [f"{name} in ({low}, {high}]" for low, high in pairwise(_apart_in_text(edges))]
    return Parting(name, (*names, f"{name} without a value"), codes)


def _apart_in_text(edges: Floats) -> list[str]:
    """Edges with as few digits as tell them apart, six at least."""
    written = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(6, 18))
    return next(texts for texts in written if len(set(texts)) == len(texts))


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Parts that were looked at, with their means of the loss; all arrays have one entry a part."""

    names: tuple[str, ...]
    inside: Ratio
    worse: Ratio
    independent: Floats

    def __len__(self) -> int:
        return len(self.names)


def segments(
    features: pd.DataFrame, losses: Floats, blocks: Integers, *, metric: str, declared: Sequence[str] = ()
) -> tuple[SegmentFinding, ...]:
    """Every part of the declared columns, then the weakest parts of one or two of all columns, worst first.

    Args:
        features: n labelled rows; columns may be of any kind.
        losses: loss of each row, n.
        blocks: block of each row, n.
        metric: what the loss is called.
        declared: columns whose every value is reported (at most 50); too small a part says so.
    """
    if not len(losses):
        return ()
    places = numbered(blocks)
    told = [parting(features[name], most=50) for name in declared if name in features]
    searched = [cut for cut in map(parting, (features[name] for name in features.columns)) if len(cut.names) > 1]
    asked = _looked([*told], losses, places, smallest=1)
    singles = _looked(searched, losses, places, smallest=MIN_ROWS)
    pairs = _looked(list(_pairs(searched, singles)), losses, places, smallest=MIN_ROWS)
    p = _chances(asked, singles, pairs)
    found = discoveries(p, RATE)
    findings = [_finding(look, k, metric) for look in (asked, singles, pairs) for k in range(len(look))]
    judged = [_judged(one, float(chance), bool(hit)) for one, chance, hit in zip(findings, p, found, strict=True)]
    alone, both = judged[len(asked) : len(asked) + len(singles)], judged[len(asked) + len(singles) :]
    weak = [one for one in alone if one.weak]
    weak += _apart([one for one in both if one.weak], weak)
    return (*(replace(one, declared=True) for one in judged[: len(asked)]), *sorted(weak, key=_badness)[:SHOWN])


def _pairs(searched: Sequence[Parting], singles: Looked) -> Iterator[Parting]:
    """Pairs of the columns that hold the most deviating single parts: a beam, not every pair."""
    deviation = np.abs(singles.worse.value) / np.sqrt(singles.independent)
    best: dict[str, float] = {}
    for name, size in zip(singles.names, deviation, strict=True):
        column = next(cut.column for cut in searched if name in cut.names)
        best[column] = max(best.get(column, 0.0), float(size))
    kept = sorted(best, key=lambda column: (-best[column], column))[:_PAIRED]
    for one, other in combinations([cut for cut in searched if cut.column in kept], 2):
        yield one.with_(other)


def _looked(cuts: Sequence[Parting], losses: Floats, places: Integers, *, smallest: int) -> Looked:
    blocks = int(places.max()) + 1
    whole = _sums(np.zeros(losses.size, dtype=np.int64), 1, losses, places, blocks)
    names: list[str] = []
    kept = []
    for cut in cuts:
        sums = _sums(cut.codes, len(cut.names), losses, places, blocks)
        rows = sums[0].sum(axis=1)
        large = np.flatnonzero((rows >= smallest) & (losses.size - rows >= smallest))
        names += [cut.names[k] for k in large]
        kept.append(sums[:, large])
    inside = np.concatenate(kept, axis=1) if kept else np.zeros((3, 0, blocks))
    outside = whole - inside
    first, second = ratio(inside[1], inside[0]), ratio(outside[1], outside[0])
    return Looked(tuple(names), first, first.minus(second), _variance(inside) + _variance(outside))


def _sums(codes: Integers, parts: int, losses: Floats, places: Integers, blocks: int) -> Floats:
    """Rows, losses and squared losses: 3 x parts x blocks."""
    place = codes * blocks + places
    size = (parts + 1) * blocks
    sums = [np.bincount(place, weights, size) for weights in (np.ones_like(losses), losses, losses**2)]
    return np.stack(sums).astype(np.float64).reshape(3, parts + 1, blocks)[:, :parts]


def _variance(sums: Floats) -> Floats:
    """Of a mean over independent rows."""
    rows, total, squares = sums.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance: Floats = (squares / rows - (total / rows) ** 2) / rows
    return np.maximum(variance, 1e-300)


def _chances(*looks: Looked) -> Floats:
    """Chance of each part's difference, with the dispersion pooled over all parts."""
    from scipy.special import ndtr

    worse = np.concatenate([look.worse.value for look in looks])
    independent = np.concatenate([look.independent for look in looks])
    between = np.concatenate([look.worse.deviation**2 for look in looks])
    known = np.isfinite(between) & np.isfinite(worse)
    if not known.any():
        return np.full(worse.size, np.nan)
    dispersion = max(1.0, float(np.median(between[known] / independent[known])))
    return np.where(known, ndtr(-worse / np.sqrt(independent * dispersion)), np.nan)


def _finding(look: Looked, place: int, metric: str) -> SegmentFinding:
    rows = int(look.inside.rows[place])
    inside, worse = look.inside.estimate(place), look.worse.estimate(place)
    note = "" if worse else f"{int(look.inside.blocks[place])} blocks, {MIN_BLOCKS} needed"
    note = note if rows >= MIN_ROWS else f"{rows} rows, {MIN_ROWS} needed"
    return SegmentFinding(look.names[place], metric, rows, inside, worse, None, False, False, note)


def _judged(one: SegmentFinding, p: float, found: bool) -> SegmentFinding:
    weak = found and one.rows >= MIN_ROWS and _much_worse(one.inside, one.worse)
    return replace(one, p=p if np.isfinite(p) else None, weak=weak)


def _much_worse(inside: Estimate | None, worse: Estimate | None) -> bool:
    if inside is None or worse is None:
        return False
    return worse.low > 0 and worse.value > FLOOR * (inside.value - worse.value)


def _badness(one: SegmentFinding) -> tuple[float, str]:
    return (-one.worse.low if one.worse else 0.0, one.segment)


def _apart(both: Sequence[SegmentFinding], alone: Sequence[SegmentFinding]) -> list[SegmentFinding]:
    """Leave out a part of two columns that is hardly worse than one of its own halves: it says nothing new."""
    return [one for one in both if not any(_is_half(half, one) and _hardly_worse(one, half) for half in alone)]


def _is_half(half: SegmentFinding, of: SegmentFinding) -> bool:
    return of.segment.startswith(f"{half.segment}{_AND}") or of.segment.endswith(f"{_AND}{half.segment}")


def _hardly_worse(one: SegmentFinding, half: SegmentFinding) -> bool:
    if one.inside is None or half.inside is None:
        return False
    return one.inside.value < (1 + FLOOR) * half.inside.value
