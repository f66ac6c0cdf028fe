"""Simulated years of weekly windows, as counts in 100 bins: worlds without drift, and one with.

Twenty columns of five marginal distributions. A window has 5,000 rows. Counts are drawn exactly from multinomial
distributions; correlated columns share a latent factor of five levels, given which they are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ROWS = 5_000
COLUMNS = 20
BINS = 100
WEEKS = 52
EARLIER = 26
SEASON = 0.5
LIKENESS, WANDER = 0.6, 0.05
CORRELATION = 0.5
_LEVELS = 5

Array = NDArray[Any]

MARGINALS: dict[str, Any] = {
    "normal": stats.norm(),
    "exponential": stats.expon(),
    "lognormal": stats.lognorm(1),
    "uniform": stats.uniform(),
    "poisson": stats.poisson(5),
}


@dataclass(frozen=True)
class Marginal:
    """One distribution, cut into bins of its own quantiles.

    Attributes:
        edges: 99 inner edges in standard deviations; equal ones where a discrete column has fewer values.
        shares: function from a shift in standard deviations to the share of rows in each bin.
    """

    edges: Array
    shares: Callable[[float], Array]


def marginal(name: str) -> Marginal:
    """Bins of one of the five distributions. A Poisson column shifts by its rate, the others as they are."""
    law = MARGINALS[name]
    levels = np.arange(1, BINS) / BINS
    inner = law.ppf(levels)
    if name == "poisson":
        values = np.unique(inner)
        inner = np.concatenate([values, np.full(BINS - 1 - values.size, values[-1])])

    def bins(shift: float) -> Array:
        below = (
            stats.poisson(5 + shift * np.sqrt(5)).cdf(inner)
            if name == "poisson"
            else law.cdf(inner - shift * law.std())
        )
        return np.diff(below, prepend=0.0, append=1.0)

    return Marginal(inner / law.std(), bins)


LAWS = [marginal(name) for name in MARGINALS]
EDGES = np.stack([LAWS[column % len(LAWS)].edges for column in range(COLUMNS)])


def shares(shift: Array) -> Array:
    """Shares of the bins of all columns, (columns, bins), each column shifted by so many standard deviations."""
    return np.stack([LAWS[column % len(LAWS)].shares(float(shift[column])) for column in range(COLUMNS)])


@dataclass(frozen=True)
class Reference:
    """A reference window of all simulated years, added up once for all the weeks that are compared with it.

    Attributes:
        chunks: (chunks, years, columns, bins).
        whole: their sum, (years, columns, bins).
    """

    chunks: Array
    whole: Array

    @classmethod
    def of(cls, chunks: Sequence[Array]) -> Reference:
        """One or more chunks, each (years, columns, bins)."""
        together = np.stack(chunks)
        return cls(together, together.sum(0))


@dataclass(frozen=True)
class Week:
    """One week of all simulated years.

    Attributes:
        reference: the reference window of that week.
        current: (years, columns, bins).
        judged: whether the week counts, or only goes before.
        calm: whether it is known to be without drift, as the weeks are from which a rule is calibrated.
        fresh: whether the reference is another one than that of the week before.
    """

    reference: Reference
    current: Array
    judged: bool = True
    calm: bool = False
    fresh: bool = False


World = Callable[[np.random.Generator, int, int], Iterator[Week]]
"""Makes the weeks of so many years, with a reference of so many windows."""


def independent(rng: np.random.Generator, years: int, chunks: int) -> Iterator[Week]:
    """Columns that have nothing to do with each other."""
    return drifting(np.zeros(COLUMNS))(rng, years, chunks)


def drifting(shift: Array) -> World:
    """Half a year without drift, which is not judged where there is drift later, and half a year with it."""

    def world(rng: np.random.Generator, years: int, chunks: int) -> Iterator[Week]:
        still, moved = shares(np.zeros(COLUMNS)), shares(shift)
        reference = Reference.of([_drawn(rng, years, still) for _ in range(chunks)])
        for week in range(WEEKS):
            late = week >= EARLIER
            current = _drawn(rng, years, moved if late else still)
            yield Week(reference, current, judged=late or not shift.any())

    return world


def correlated(rng: np.random.Generator, years: int, chunks: int) -> Iterator[Week]:
    """Each two columns have a rank correlation of about 0.5."""
    given = _given_level()

    def draw() -> Array:
        rows = rng.multinomial(ROWS, np.full(_LEVELS, 1 / _LEVELS), size=(years, 1))
        return np.asarray(np.sum([rng.multinomial(rows[..., level], given[level]) for level in range(_LEVELS)], axis=0))

    reference = Reference.of([draw() for _ in range(chunks)])
    for _ in range(WEEKS):
        yield Week(reference, draw())


def _given_level() -> list[Array]:
    """Shares of the bins given each level of the latent factor, (columns, bins) each; their mean is the column's."""
    factor = stats.norm.ppf((np.arange(200 * _LEVELS) + 0.5) / (200 * _LEVELS)).reshape(_LEVELS, -1)
    base = np.cumsum(shares(np.zeros(COLUMNS)), axis=-1)[:, :-1]
    borders = stats.norm.ppf(np.clip(base, 0, 1))
    loading, rest = np.sqrt(CORRELATION), np.sqrt(1 - CORRELATION)
    below = [stats.norm.cdf((borders[..., None] - loading * level) / rest).mean(-1) for level in factor]
    return [np.clip(np.diff(given, prepend=0.0, append=1.0, axis=-1), 0, 1) for given in below]


def seasonal(rng: np.random.Generator, years: int, chunks: int) -> Iterator[Week]:
    """Columns move by a standard deviation over the year; each week is compared with rows of the same season."""
    for week in range(WEEKS):
        law = shares(SEASON * np.sin(2 * np.pi * (week / WEEKS + np.arange(COLUMNS) / COLUMNS)))
        reference = Reference.of([_drawn(rng, years, law) for _ in range(chunks)])
        yield Week(reference, _drawn(rng, years, law), fresh=True)


def wandering(likeness: float = LIKENESS, wander: float = WANDER) -> World:
    """Windows that are autocorrelated: each column's place wanders, 26 windows go before those that count."""

    def world(rng: np.random.Generator, years: int, chunks: int) -> Iterator[Week]:
        table = _shift_table()
        place = wander * rng.standard_normal((years, COLUMNS))
        drawn = []
        for week in range(chunks + EARLIER + WEEKS):
            place = likeness * place + wander * np.sqrt(1 - likeness**2) * rng.standard_normal(place.shape)
            current = rng.multinomial(ROWS, table[_step(place), np.arange(COLUMNS)])
            if week < chunks:
                drawn.append(current)
                reference = Reference.of(drawn)
            else:
                earlier = week < chunks + EARLIER
                yield Week(reference, current, judged=not earlier, calm=earlier)

    return world


@cache
def _shift_table() -> Array:
    """Shares of the bins for shifts from -0.4 to 0.4 in steps of 1/200 standard deviation, (steps, columns, bins)."""
    return np.stack([shares(np.full(COLUMNS, step / 200)) for step in range(-80, 81)])


def _step(shift: Array) -> Array:
    return np.asarray(np.clip(np.rint(shift * 200).astype(int) + 80, 0, 160))


def _drawn(rng: np.random.Generator, years: int, law: Array) -> Array:
    return np.asarray(rng.multinomial(ROWS, law, size=(years, COLUMNS)))
