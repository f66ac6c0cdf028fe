"""kill -9 anywhere in a run, then the same command again: the same table, the same records."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from walking import LIMIT, ROOT, Walk

pytestmark = pytest.mark.timeout(LIMIT)
FLIGHTS = ROOT / "examples" / "flights"
SIX_WEEKS = ("2013-03-01T00:00:00Z", "2013-04-12T00:00:00Z")
YEAR = ("2013-03-01T00:00:00Z", "2014-01-03T00:00:00Z")


def test_a_killed_run_ends_with_the_same_table(tmp_path: Path) -> None:
    undisturbed = Walk(tmp_path / "undisturbed", FLIGHTS, *SIX_WEEKS)
    killed = Walk(tmp_path / "killed", FLIGHTS, *SIX_WEEKS)

    expected = undisturbed.finish()
    kill_at_random_moments(killed, times=3, steps=undisturbed.steps_done(), seed=20130301)
    found = killed.finish()

    assert found == expected
    assert killed.records() == undisturbed.records()
    assert leftovers(killed.folder) == []


def test_a_finished_run_repeats_no_effect(tmp_path: Path) -> None:
    walk = Walk(tmp_path, FLIGHTS, "2013-03-01T00:00:00Z", "2013-03-08T00:00:00Z")
    first = walk.finish()
    steps, records = walk.steps_done(), walk.records()

    second = walk.finish()

    assert second == first
    assert (walk.steps_done(), walk.records()) == (steps, records)


@pytest.mark.stress
@pytest.mark.timeout(6 * LIMIT)
@pytest.mark.parametrize("seed", range(3))
def test_a_year_killed_at_random_moments_ends_with_the_same_table(tmp_path: Path, seed: int) -> None:
    undisturbed = Walk(tmp_path / "undisturbed", FLIGHTS, *YEAR)
    killed = Walk(tmp_path / "killed", FLIGHTS, *YEAR)

    expected = undisturbed.finish()
    kill_at_random_moments(killed, times=6, steps=undisturbed.steps_done(), seed=seed)

    assert killed.finish() == expected
    assert killed.records() == undisturbed.records()


def kill_at_random_moments(walk: Walk, *, times: int, steps: int, seed: int) -> None:
    """Start the walk and kill it soon after a random number of steps, several times over."""
    chance = random.Random(seed)
    for after in sorted(chance.sample(range(steps - 1), times)):
        process = walk.begin()
        wait_for_steps(walk, process, after)
        time.sleep(chance.uniform(0.0, 2.0))  # somewhere inside the next step
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


def wait_for_steps(walk: Walk, process: subprocess.Popen[bytes], after: int) -> None:
    deadline = time.monotonic() + LIMIT
    while walk.steps_done() < after:
        assert process.poll() is None, (walk.folder / "stderr").read_text()[-4000:]
        assert time.monotonic() < deadline, f"{after} steps were not done within {LIMIT} s"
        time.sleep(0.05)


def leftovers(folder: Path) -> list[str]:
    """Processes that still work in the state folder of a walk."""
    state = str(folder / ".incumbent")
    found = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        if process.pid != os.getpid() and (process.info["cwd"] or "").startswith(state):
            found.append(" ".join(process.info["cmdline"] or []))
    return found
