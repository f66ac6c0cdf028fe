"""How often a rule calls drift what is none, and how often it sees a small drift: a thousand simulated years a world.

Weekly windows of 20 columns are simulated as counts in bins, so that years cost seconds. Worlds without drift:
independent columns; correlated columns; a yearly season, each week against rows of its season; windows that are
autocorrelated, after 26 earlier ones. Worlds with drift: one column of twenty moves by 0.1 standard deviations from
week 27 on, for five distributions. References of one window and of ten. `worlds.py` and `rules.py` beside this say it
exactly. The other rules look at the first hundred of the years, which is enough to see how often they are wrong.

    python -m benchmarks.false_alarms [--seed 1] [--years 1000] [--worlds independent normal]

The last line is JSON: per rule the largest upper 95 % limit of false weeks a year over all worlds without drift, the
smallest share of drifted weeks that it saw, and every cell. A rule that needs several chunks has no cell at one window.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

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
PEER_YEARS = 100
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


def worlds() -> Iterator[tuple[str, World, bool]]:
    """Name, world, and whether it drifts."""
    still = {"independent": independent, "correlated": correlated, "season": seasonal, "autocorrelated": wandering()}
    for name, world in still.items():
        yield name, world, False
    for place, name in enumerate(MARGINALS):
        shift = np.zeros(COLUMNS)
        shift[place] = DRIFT
        yield name, drifting(shift), True


def judged(world: World, chunks: int, *, seed: int, years: int) -> dict[str, Cell]:
    """Every rule on the same weeks of one world; rules that do not apply are left out."""
    judges = rules()
    alarms: dict[str, list[Flags]] = {name: [] for name in judges}
    for week in world(np.random.default_rng(seed), years, chunks):
        some = week.of_years(PEER_YEARS)
        for name in list(judges):
            answer = _asked(judges[name], week if name == "default" else some)
            if answer is None:
                del judges[name], alarms[name]
            elif week.judged:
                alarms[name].append(answer)
    return {name: Cell.of(np.array(told)) for name, told in alarms.items()}


def _asked(judge: Judge, week: Week) -> Flags | None:
    try:
        return judge.alarms(week)
    except NotApplicableError:
        return None


def main() -> None:
    """Print a table as it goes, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--worlds", nargs="+", help="only these; all worlds are the default")
    given = parser.parse_args()
    still: dict[str, dict[str, Cell]] = {name: {} for name in rules()}
    moved: dict[str, dict[str, Cell]] = {name: {} for name in rules()}
    for number, (world, made, drifts) in enumerate(worlds()):
        if given.worlds and world not in given.worlds:
            continue
        for chunks in REFERENCES:
            cells = judged(made, chunks, seed=given.seed * 1000 + number * 10 + chunks, years=given.years)
            for rule, cell in cells.items():
                (moved if drifts else still)[rule][f"{world}, reference {chunks}x"] = cell
            told = ", ".join(f"{rule} {cell.share if drifts else cell.weeks:.3f}" for rule, cell in cells.items())
            print(
                f"{world}, reference {chunks}x, {'weeks seen' if drifts else 'false weeks a year'}: {told}", flush=True
            )
    print(json.dumps({rule: summary(still[rule], moved[rule]) for rule in still} | {"years": given.years}))


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
