"""One window's drift report: Evidently's stock preset and ours on the same frames, with the page and without.

20 columns of numbers and 5 of categories, a reference as large as the window; three columns have drifted. Ours has the
reference prepared beforehand, as it is once per model version; its cost stands beside. `max_abs_diff` is over every
score that stock reports. The peers run in `.venv-peers`, which `make peers` makes.

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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drift_rules.frames import CATEGORIES, NUMBERS, frame
from lifecycle.evidence import DriftFinding
from monitoring.drift import drift, measured
from monitoring.profile import Profile
from monitoring.reference import Reference
from monitoring.report import write_report

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers/bin/python"
ROWS = (10_000, 100_000, 1_000_000)


def timed(work: Callable[[], Any], times: int = 1) -> tuple[dict[str, float], Any]:
    """Seconds of wall and of CPU of the fastest of several runs, and what the work answered."""
    best, answer = {"wall": np.inf, "cpu": np.inf}, None
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        best = min(best, spent, key=lambda seconds: seconds["cpu"])
    return {name: round(seconds, 4) for name, seconds in best.items()}, answer


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
    times = 3 if rows <= 100_000 else 2
    sorting, _ = timed(lambda: [np.sort(current[name].to_numpy()) for name in NUMBERS], times)
    exact, _ = timed(lambda: measured(_only(ready, NUMBERS), current), times)
    values, findings = timed(lambda: drift(ready, current), times)
    page, _ = timed(lambda: write_report(ready, current, findings, scratch / "ours.html", "ours"), times)
    profiling, _ = timed(lambda: Profile.of(current, ready.profile.layout), times)
    codes = [pd.factorize(current[name])[0] for name in CATEGORIES]
    sorting_all, _ = timed(lambda: [*(np.sort(current[n].to_numpy()) for n in NUMBERS), *map(np.sort, codes)], times)
    theirs, scores = timed(lambda: stock(reference, current, scratch / "stock.html"))
    return {
        "stock": theirs,
        "ours_values": values,
        "ours_html": {name: round(values[name] + page[name], 4) for name in values},
        "reference_beforehand": prepared,
        "numpy_sort": sorting,
        "exact_to_sort": round(exact["cpu"] / sorting["cpu"], 3),
        "profile": profiling,
        "profile_to_sort": round(profiling["cpu"] / sorting_all["cpu"], 3),
        "speedup_html": round(theirs["cpu"] / (values["cpu"] + page["cpu"]), 1),
        "speedup_values": round(theirs["cpu"] / values["cpu"], 1),
        **agreement(findings, scores),
    }


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
        write_report(ready, current, findings, scratch / "hard.html", name)
        told[name] = {"ours": f"{findings[0].note}, drifted: {findings[0].drifted}"}
        try:
            stock(reference, current, scratch / "hard_stock.html")
            told[name]["stock"] = "reports"
        except Exception as error:  # noqa: BLE001  (whatever it is that ends their report is what is told)
            told[name]["stock"] = f"{type(error).__name__}: {str(error)[:80]}"
    return told


def peers(rows: int) -> dict[str, Any]:
    """NannyML and whylogs on the same frames, in their own environment; an error is told as such."""
    if not PEERS.exists():
        subprocess.run(["make", "-s", "peers"], check=True, cwd=HERE.parent)
    command = [str(PEERS), "-m", "benchmarks.drift_rules.peers", str(rows)]
    env = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, env=env, check=False)
    if done.returncode:
        return {"error": (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


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
                "exact_to_sort_1m": largest["exact_to_sort"],
                "profile_to_sort_1m": largest["profile_to_sort"],
                "rows": max(given.rows),
                "sizes": sizes,
                "hard_windows": hard,
            }
        )
    )


if __name__ == "__main__":
    main()
