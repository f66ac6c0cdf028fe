"""The main job: ten months of real flights in logical time, week by week, ended by one line `RESULT {json}`.

January and February are taken in and the first champion is trained on them; from March on the loop scores,
watches, decides and, where the policy says so, retrains. Everything lies under `.incumbent/`, and what is
finished is not done again.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from flows.replay.memory import PeakMemory
from flows.replay.showing import show_summary
from flows.running import begin, connected
from lifecycle.moments import parse_moment

MODEL = "examples/flights"
START, END = "2013-03-01T00:00:00Z", "2014-01-03T00:00:00Z"


def main() -> None:
    """Run, show, and print the result."""
    started = time.monotonic()
    with PeakMemory() as memory:
        begin()  # the server starts while the rest is imported
        from flows.model import load_model
        from flows.replay.run import run_backfill

        model = load_model(Path(__file__).parent)
        with connected() as loop:
            summary = run_backfill(loop, model, parse_moment(START), parse_moment(END))
    show_summary(summary, MODEL)
    difference = summary.difference
    result = {
        "brier_loop": summary.loop["brier"],
        "brier_never": summary.never["brier"],
        "brier_difference_interval": [difference.low, difference.high] if difference else None,
        "auc_loop": summary.loop["auc"],
        "auc_never": summary.never["auc"],
        "trainings": summary.trainings,
        "promotions": summary.promotions,
        "holds": summary.holds,
        "quarantined_rows": summary.quarantined.height,
        "decisions": len(summary.decisions),
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": round(memory.peak_mb),
    }
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")


if __name__ == "__main__":
    main()
