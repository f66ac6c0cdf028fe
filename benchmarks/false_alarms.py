"""How often a rule calls drift what is none, and how often it sees a small drift: a thousand simulated years a world.

Weekly windows of 20 columns are simulated as counts in bins, so that years cost seconds. Worlds without drift:
independent columns; correlated columns; a yearly season, each week against rows of its season; windows that are
autocorrelated, after 26 earlier ones. Worlds with drift: one column of twenty moves by 0.1 standard deviations from
week 27 on, for five distributions. References of one window and of ten. `worlds.py` and `rules.py` beside this say it
exactly. The other rules look at the first hundred of the years, which is enough to see how often they are wrong. Every
hundred years of a world have a seed of their own, so that the answer is the same with any number of processes.

    python -m benchmarks.false_alarms [--seed 1] [--years 1000] [--worlds independent normal] [--processes 2]

The last line is JSON: per rule the largest upper 95 % limit of false weeks a year over all worlds without drift, the
smallest share of drifted weeks that it saw, and every cell. A rule that needs several chunks has no cell at one window.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from benchmarks.drift_rules.rules import Flags, Judge, NotApplicableError, rules
from benchmarks.drift_rules.worlds import (
    COLUMNS,
    MARGINALS,
    WEEKS,
    Week,
    World,
    correlated,
    drifting,
    independent,
    seasonal,
    wandering,
)

REFERENCES = (1, 10)
DRIFT = 0.1
BLOCK = 100
_NEVER_SEEN = 3.0  # in n years without an event, up to 3/n a year remain possible (95 %)


@dataclass(frozen=True)
class Cell:
    """What one rule did in one world.

    Attributes:
        weeks: alarms a year of 52 weeks, mean over the years.
        limit: upper 95 % limit of that mean; years are independent, weeks of a year are not.
        share: share of the judged weeks with an alarm.
    """

    weeks: float
    limit: float
    share: float

    @classmethod
    def of(cls, alarms: Flags) -> Cell:
        """From alarms, (weeks, years)."""
        years = alarms.mean(0) * WEEKS
        error = 1.645 * years.std(ddof=1) / np.sqrt(years.size)
        return cls(
            float(years.mean()), float(max(years.mean() + error, _NEVER_SEEN / years.size)), float(alarms.mean())
        )


def worlds() -> dict[str, tuple[World, bool]]:
    """Each world by its name, and whether it drifts."""
    still = {"independent": independent, "correlated": correlated, "season": seasonal, "autocorrelated": wandering()}
    moved = {name: drifting(DRIFT * (np.arange(COLUMNS) == place)) for place, name in enumerate(MARGINALS)}
    return {name: (world, False) for name, world in still.items()} | {name: (w, True) for name, w in moved.items()}


@dataclass(frozen=True)
class Task:
    """Some years of one world, independent of all other years, so that they may run in any process.

    Attributes:
        world: its name.
        chunks: windows in the reference.
        block: which years of the world they are.
        years: how many.
        seed: of the whole run.
    """

    world: str
    chunks: int
    block: int
    years: int
    seed: int

    def alarms(self) -> dict[str, Flags]:
        """Alarms of every rule that applies, (weeks, years); beyond the first years, of the default rule alone."""
        made, _ = worlds()[self.world]
        judges = rules() if self.block == 0 else {"default": rules()["default"]}
        told: dict[str, list[Flags]] = {name: [] for name in judges}
        place = list(worlds()).index(self.world)
        for week in made(np.random.default_rng([self.seed, place, self.chunks, self.block]), self.years, self.chunks):
            for name in list(judges):
                answer = _asked(judges[name], week)
                if answer is None:
                    del judges[name], told[name]
                elif week.judged:
                    told[name].append(answer)
        return {name: np.array(weeks) for name, weeks in told.items()}


def _asked(judge: Judge, week: Week) -> Flags | None:
    try:
        return judge.alarms(week)
    except NotApplicableError:
        return None


def tasks(named: Sequence[str], *, years: int, seed: int) -> list[Task]:
    """All years of the worlds, in blocks."""
    sizes = [min(BLOCK, years - first) for first in range(0, years, BLOCK)]
    return [
        Task(world, chunks, block, size, seed)
        for world in named
        for chunks in REFERENCES
        for block, size in enumerate(sizes)
    ]


def cells(given: Sequence[Task], processes: int) -> Iterator[tuple[str, int, dict[str, Cell]]]:
    """World, size of the reference and every rule's cell there, in the order of the tasks."""
    with ProcessPoolExecutor(processes) as pool:
        answers = zip(given, pool.map(Task.alarms, given), strict=True)
        for (world, chunks), blocks in groupby(answers, key=lambda one: (one[0].world, one[0].chunks)):
            told = [alarms for _, alarms in blocks]
            every = {name: [alarms[name] for alarms in told if name in alarms] for name in told[0]}
            yield world, chunks, {name: Cell.of(np.concatenate(alarms, axis=1)) for name, alarms in every.items()}


def main() -> None:
    """Print a line a cell as it goes, two tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--worlds", nargs="+", default=list(worlds()), choices=list(worlds()), metavar="WORLD")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    still: dict[str, dict[str, Cell]] = {name: {} for name in rules()}
    moved: dict[str, dict[str, Cell]] = {name: {} for name in rules()}
    for world, chunks, found in cells(tasks(given.worlds, years=given.years, seed=given.seed), given.processes):
        drifts = worlds()[world][1]
        for rule, cell in found.items():
            (moved if drifts else still)[rule][f"{world} {chunks}x"] = cell
        told = ", ".join(f"{rule} {cell.share if drifts else cell.weeks:.3f}" for rule, cell in found.items())
        print(f"{world} {chunks}x, {'weeks seen' if drifts else 'false weeks a year'}: {told}", flush=True)
    print(table(still, lambda cell: f"{cell.weeks:.3f}"), table(moved, lambda cell: f"{cell.share:.1%}"), sep="\n\n")
    print(json.dumps({rule: summary(still[rule], moved[rule]) for rule in still} | {"years": given.years}))


def table(found: dict[str, dict[str, Cell]], shown: Callable[[Cell], str]) -> str:
    """A row a rule, a column a world and reference; empty where a rule does not apply."""
    names = list(found["default"])
    rows = [[rule, *(shown(row[name]) if name in row else "" for name in names)] for rule, row in found.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in [["rule", *names], ["---"] * (len(names) + 1), *rows])


def summary(still: dict[str, Cell], moved: dict[str, Cell]) -> dict[str, object]:
    """The worst of a rule, and all of its cells."""
    return {
        "false_alarm_weeks_per_year_max": round(max((cell.limit for cell in still.values()), default=0.0), 4),
        "power_0.1sd_1col": round(min((cell.share for cell in moved.values()), default=0.0), 4),
        "false_alarm_weeks_per_year": {world: round(cell.weeks, 4) for world, cell in still.items()},
        "power": {world: round(cell.share, 4) for world, cell in moved.items()},
    }


if __name__ == "__main__":
    main()
