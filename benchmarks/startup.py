"""What `incumbent --help` costs beyond Python's own start, in CPU seconds.

CPU time of the child process (user and system), not wall time, which a busy machine would change.
The last line is JSON: `{"help_cpu_s": ..., "python_cpu_s": ...}`, each the median of several runs.

    python -m benchmarks.startup
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path

RUNS = 9
HELP = [str(Path(sys.executable).with_name("incumbent")), "--help"]
NOTHING = [sys.executable, "-c", "pass"]


class CommandFailedError(RuntimeError):
    """A measured command did not succeed, so its time means nothing."""

    def __init__(self, command: list[str], code: int) -> None:
        super().__init__(
            f"{' '.join(command)} ended with exit code {code} while it was measured. "
            f"Run it by hand to see why; `make install` links the command into .venv."
        )


def main() -> None:
    """Measure both commands and print the two medians."""
    # Alternating, so that a change of the machine's speed meets both; the first pair warms the file cache.
    pairs = [(cpu_seconds(HELP), cpu_seconds(NOTHING)) for _ in range(RUNS + 1)][1:]
    help_cpu, python_cpu = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"incumbent --help costs {help_cpu - python_cpu:.3f} s of CPU beyond Python's own start ({RUNS} runs)")
    print(json.dumps({"help_cpu_s": round(help_cpu, 4), "python_cpu_s": round(python_cpu, 4)}))


def cpu_seconds(command: list[str]) -> float:
    """User and system CPU seconds of one run of a command, its output thrown away.

    Raises:
        CommandFailedError: the command did not exit with 0.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise CommandFailedError(command, code)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
