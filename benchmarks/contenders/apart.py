"""A contender in a process of its own, so that its CPU and its peak of memory are its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class ContenderFailedError(RuntimeError):
    """A contender ended without figures."""

    def __init__(self, module: str, arguments: tuple[str, ...], said: str) -> None:
        super().__init__(
            f"{module} {' '.join(arguments)} failed; a benchmark without it means nothing. It said:\n{said}"
        )


def run_apart(module: str, *arguments: object) -> Any:
    """Run a module of ours by the Python that runs this one; what its last line says."""
    return _figures(sys.executable, module, arguments)


def run_peer(module: str, *arguments: object) -> Any:
    """Run a module by the Python of the peers' environment; what its last line says."""
    return _figures(peers_python(), module, arguments)


def peers_python(environment: str = "peers") -> str:
    """The Python of an environment of peers, `.venv-ENVIRONMENT`, which is made when it is missing."""
    folder = ROOT / f".venv-{environment}"
    if not (folder / ".installed").exists():
        subprocess.run(["make", "-s", environment], check=True, cwd=ROOT, stdout=sys.stderr)
    return str(folder / "bin/python")


def _figures(python: str, module: str, arguments: tuple[object, ...]) -> Any:
    texts = tuple(str(one) for one in arguments)
    done = subprocess.run([python, "-m", module, *texts], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise ContenderFailedError(module, texts, done.stderr[-4000:])
    return json.loads(done.stdout.splitlines()[-1])
