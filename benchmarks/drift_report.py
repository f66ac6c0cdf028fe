"""One window's drift report: Evidently's stock preset and ours on the same frames, with the page and without.

20 columns of numbers and 5 of categories, a reference as large as the window; three columns have drifted. Ours has the
reference prepared beforehand, as it is once per model version; its cost stands beside, and so does what exact scores
cost against the sample of 20,000 rows that is kept of a reference by default. Ours and the sorts that it is
held against run fifteen times in turns: seconds are medians, and ratios the medians of those within a round, with their
quartiles. `max_abs_diff` is over every score that stock reports. NannyML, whylogs and alibi-detect run in environments
of their own, which `make peers` and `make peers-alibi` make; what has not ended within ten minutes is said to.

    python -m benchmarks.drift_report [--rows 10000 100000 1000000] [--no-peers]

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contenders.apart import peers_python
from benchmarks.drift_rules.frames import CATEGORIES, NUMBERS, frame
from lifecycle.evidence import DriftFinding
from monitoring.columns import SortedNumbers
from monitoring.drift import drift, measured
from monitoring.profile import Profile
from monitoring.reference import NumberReference, Reference
from monitoring.report import DriftReport
from monitoring.wasserstein import wasserstein

PEERS = {"peers": ["nannyml", "whylogs"], "peers-alibi": ["alibi_detect"]}
LIMIT = 600
ROWS = (10_000, 100_000, 1_000_000)
AS_OF = datetime(2013, 3, 4, tzinfo=UTC)


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds of wall and of CPU, and what the work answered."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return {"wall": round(time.perf_counter() - wall, 5), "cpu": round(time.process_time() - cpu, 5)}, answer


Rounds = dict[str, list[dict[str, float]]]


def in_turns(works: dict[str, Callable[[], Any]], times: int) -> Rounds:
    """Seconds of several runs of each; every round has an order of its own, so that none always follows the same."""
    rounds: Rounds = {name: [] for name in works}
    for turn in range(times):
        for name in np.random.default_rng(turn).permutation(list(works)).tolist():
            rounds[name].append(timed(works[name])[0])
    return rounds


def medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    """The run of each whose CPU seconds are the median."""
    return {name: sorted(runs, key=lambda spent: spent["cpu"])[len(runs) // 2] for name, runs in rounds.items()}


def ratio(rounds: Rounds, name: str, limit: str) -> list[float]:
    """CPU seconds over those of the limit in the same round: quartile, median and quartile.

    A busy minute of the machine slows both of a round down, where the fastest runs of each may be from different ones.
    """
    pairs = zip(rounds[name], rounds[limit], strict=True)
    quartiles = np.quantile([mine["cpu"] / theirs["cpu"] for mine, theirs in pairs], [0.25, 0.5, 0.75])
    return [round(value, 3) for value in quartiles.tolist()]


def stock(reference: pd.DataFrame, current: pd.DataFrame, path: Path) -> dict[str, tuple[float, bool]]:
    """Evidently's preset as its tutorial has it, with declared types; score and verdict of each column."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    snapshot.save_html(str(path))
    return {
        metric["config"]["column"]: (float(metric["value"]), float(metric["value"]) >= metric["config"]["threshold"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith("ValueDrift")
    }


def compared(rows: int, scratch: Path) -> dict[str, Any]:
    """Stock and ours on windows of so many rows."""
    reference, current = frame(rows, seed=1), frame(rows, seed=2, drifted=True)
    prepared, ready = timed(lambda: Reference.of(reference, sample=rows))
    findings = drift(ready, current)
    page = {"page": lambda: DriftReport.of(ready, current, findings, "ours", AS_OF).write(scratch / "ours.html")}
    rounds = in_turns(beside_sorts(ready, Reference.of(reference), current), times=15)
    ours = medians(rounds) | medians(in_turns(page, times=5))
    theirs, scores = timed(lambda: stock(reference, current, scratch / "stock.html"))
    to_sort = {name: ratio(rounds, name, "numpy_sort") for name in ("distances", "exact", "of_a_sample")}
    to_sort["profile"] = ratio(rounds, "profile", "numpy_sort_all")
    return {
        "stock": theirs,
        "reference_beforehand": prepared,
        "ours": ours,
        **{f"{name}_to_sort": median for name, (_, median, _) in to_sort.items()},
        "to_sort_quartiles": {name: [low, high] for name, (low, _, high) in to_sort.items()},
        "speedup_html": round(theirs["cpu"] / (ours["values"]["cpu"] + ours["page"]["cpu"]), 1),
        "speedup_values": round(theirs["cpu"] / ours["values"]["cpu"], 1),
        **agreement(findings, scores),
    }


def beside_sorts(ready: Reference, sampled: Reference, current: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """What reads every row of a window, and the sorts that it is held against."""
    numbers, sample = (_only(reference, NUMBERS) for reference in (ready, sampled))
    return {
        "numpy_sort": lambda: sort_each(current, NUMBERS),
        "distances": lambda: distances(numbers, current),
        "exact": lambda: measured(numbers, current),
        "of_a_sample": lambda: measured(sample, current),
        "numpy_sort_all": lambda: sort_each(current, [*NUMBERS, *CATEGORIES]),
        "profile": lambda: Profile.of(current, ready.profile.layout),
        "values": lambda: drift(ready, current),
    }


def sort_each(window: pd.DataFrame, names: list[str]) -> None:
    """The yardstick: `np.sort` of one column after another, of which nothing is kept, so that memory is used again.

    Categories are sorted by their codes, because the objects themselves take a dozen times as long.
    """
    for name in names:
        np.sort(pd.factorize(window[name])[0] if name in CATEGORIES else window[name].to_numpy())


def distances(numbers: Reference, current: pd.DataFrame) -> list[float]:
    """The exact distances alone, without counts and what is measured from them."""
    return [
        wasserstein(column.values, SortedNumbers.of(current[name]).finite, column.runs)
        for name, column in numbers
        if isinstance(column, NumberReference)
    ]


def _only(reference: Reference, names: list[str]) -> Reference:
    columns = {name: reference.columns[name] for name in names}
    return Reference(reference.frame[names], reference.profile, columns)


def agreement(findings: tuple[DriftFinding, ...], scores: dict[str, tuple[float, bool]]) -> dict[str, Any]:
    """How far our scores lie from theirs, over every column that they report, and whether the verdicts are the same."""
    ours = {finding.column: finding for finding in findings}
    missing = sorted(scores.keys() ^ ours.keys())
    return {
        "scores": len(scores),
        "columns_of_one_side": missing,
        "max_abs_diff": max(abs((ours[name].score or np.inf) - score) for name, (score, _) in scores.items()),
        "same_drifted_columns": all(ours[name].far == said for name, (_, said) in scores.items()),
    }


def hard_windows(scratch: Path) -> dict[str, dict[str, str]]:
    """Windows with a column of nulls and without a column: what stock and ours do."""
    reference = frame(2_000, seed=1)
    ready = Reference.of(reference)
    broken = {
        "a column of nulls": frame(2_000, seed=2).assign(n0=np.nan),
        "a missing column": frame(2_000, seed=2).drop(columns="n0"),
    }
    told = {}
    for name, current in broken.items():
        findings = drift(ready, current)
        DriftReport.of(ready, current, findings, name, AS_OF).write(scratch / "hard.html")
        told[name] = {"ours": f"{findings[0].note}, drifted: {findings[0].drifted}"}
        try:
            stock(reference, current, scratch / "hard_stock.html")
            told[name]["stock"] = "reports"
        except Exception as error:  # noqa: BLE001  (whatever it is that ends their report is what is told)
            told[name]["stock"] = f"{type(error).__name__}: {str(error)[:80]}"
    return told


def peers(rows: int) -> dict[str, Any]:
    """The other libraries on the same frames; what has not ended within the limit of an environment is told so."""
    told: dict[str, Any] = {}
    for environment, libraries in PEERS.items():
        command = [peers_python(environment), "-m", "benchmarks.drift_rules.peers", str(rows), *libraries]
        env = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}
        said, problem = _said(command, env)
        for line in said.splitlines():
            told |= json.loads(line) if line.startswith("{") else {}
        told |= {environment: problem} if problem else {}
    return told


def _said(command: list[str], env: dict[str, str]) -> tuple[str, str]:
    """What was printed, and why it ended early, if it did."""
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=env, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        return said.decode() if isinstance(said, bytes) else said, f"not ended after {LIMIT} s"
    if done.returncode:
        return done.stdout, (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
    return done.stdout, ""


def main() -> None:
    """Print what is measured as it goes, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--no-peers", action="store_true")
    given = parser.parse_args()
    os.environ["DO_NOT_TRACK"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        hard = hard_windows(scratch)  # and everything is imported before it is timed
        print(json.dumps(hard), flush=True)
        sizes = {}
        for rows in given.rows:
            sizes[rows] = compared(rows, scratch)
            print(rows, json.dumps(sizes[rows]), flush=True)
            if not given.no_peers:
                sizes[rows]["peers"] = peers(rows)
                print(rows, json.dumps(sizes[rows]["peers"]), flush=True)
    largest = sizes[max(given.rows)]
    print(
        json.dumps(
            {
                "max_abs_diff": max(size["max_abs_diff"] for size in sizes.values()),
                "same_drifted_columns": all(size["same_drifted_columns"] for size in sizes.values()),
                "speedup_1m_html": largest["speedup_html"],
                "speedup_1m_values": largest["speedup_values"],
                "distances_to_sort_1m": largest["distances_to_sort"],
                "exact_to_sort_1m": largest["exact_to_sort"],
                "of_a_sample_to_sort_1m": largest["of_a_sample_to_sort"],
                "profile_to_sort_1m": largest["profile_to_sort"],
                "to_sort_quartiles_1m": largest["to_sort_quartiles"],
                "rows": max(given.rows),
                "sizes": sizes,
                "hard_windows": hard,
            }
        )
    )


if __name__ == "__main__":
    main()
