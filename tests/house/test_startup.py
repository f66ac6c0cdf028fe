"""The command answers before one has finished wondering whether it hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_help_costs_less_than_a_third_of_a_second_beyond_python_itself():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.startup"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    measured = json.loads(result.stdout.splitlines()[-1])

    assert set(measured) == {"help_cpu_s", "python_cpu_s"}
    assert measured["help_cpu_s"] - measured["python_cpu_s"] < 0.3
