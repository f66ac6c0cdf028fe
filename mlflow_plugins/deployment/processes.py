"""Servers that go on when the command that started them has ended: recorded, found again, and ended by process id."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import requests
from filelock import FileLock

from mlflow_plugins.errors import DeploymentExistsError, DeploymentFailedError, DeploymentNotFoundError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
STOP_LIMIT = 75.0  # a server answers what it accepted for up to a minute
_SAID = re.compile(r"^Serving .* at (https?://\S+) with \d+ worker", re.MULTILINE)
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server should do.

    Attributes:
        reference: the version, as `incumbent serve` takes it.
        flags: further arguments of `incumbent serve`.
        project: folder in which the command is given.
        port: 0 for any free one.
        patience: seconds until it must be ready.
    """

    reference: str
    project: str
    port: int = 0
    flags: tuple[str, ...] = ()
    patience: float = 300.0

    def command(self) -> list[str]:
        """The command that becomes the server."""
        serve = [sys.executable, "-m", "incumbent.command", "serve", self.reference]
        return [*serve, "--port", str(self.port), *self.flags]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A server that was started, as it is recorded.

    Attributes:
        pid, started: its process; the time tells it from a later one with the same number.
        config: what the caller asked for.
    """

    name: str
    model_uri: str
    url: str
    pid: int
    started: float
    log: str
    config: Mapping[str, str] = field(default_factory=dict)

    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def stop(self) -> None:
        """Ask the server to end, and end it where it does not."""
        if not self.alive():
            return
        process = psutil.Process(self.pid)
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(family, timeout=STOP_LIMIT)
        for each in left:
            each.kill()
        psutil.wait_procs(left, timeout=STOP_LIMIT)


class Deployments:
    """The servers that were started in one state folder, by name."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "deployments"

    def all(self) -> list[Deployment]:
        """All that are recorded, ended ones too."""
        return [Deployment(**json.loads(path.read_text())) for path in sorted(self._folder.glob("*.json"))]

    def find(self, name: str) -> Deployment:
        """One by its name.

        Raises:
            DeploymentNotFoundError: there is none.
        """
        for found in self.all():
            if found.name == name:
                return found
        raise DeploymentNotFoundError(name, [each.name for each in self.all()])

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Nobody else changes this deployment meanwhile."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / f"{name}.lock"):
            yield

    def start(self, name: str, model_uri: str, wanted: Wanted, config: Mapping[str, str]) -> Deployment:
        """Start a server, wait until it is ready, and record it.

        Raises:
            DeploymentExistsError: one of this name runs.
            DeploymentFailedError: it ended, or did not become ready in time; nothing of it is left running.
        """
        known = {each.name: each for each in self.all()}
        if name in known and known[name].alive():
            raise DeploymentExistsError(name, known[name].url)
        made = self.launch(name, model_uri, wanted, config)
        self.record(made)
        return made

    def launch(self, name: str, model_uri: str, wanted: Wanted, config: Mapping[str, str]) -> Deployment:
        """Start a server and wait until it is ready, without a record.

        Raises:
            DeploymentFailedError: it ended, or did not become ready in time; nothing of it is left running.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{name}.log"
        with log.open("ab") as output:
            begin = output.tell()
            process = psutil.Popen(
                wanted.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=wanted.project,
                start_new_session=True,  # Ctrl-C in this shell is not meant for it
            )
        made = Deployment(name, model_uri, "", process.pid, process.create_time(), str(log), dict(config))
        try:
            url = _ready(name, process, log, begin, wanted.patience)
        except BaseException:
            made.stop()
            raise
        return Deployment(**{**asdict(made), "url": url})

    def record(self, made: Deployment) -> None:
        """Whole or not at all: another process may be reading."""
        draft = self._folder / f"{made.name}.{os.getpid()}"
        draft.write_text(json.dumps(asdict(made), indent=1))
        draft.replace(self._folder / f"{made.name}.json")

    def forget(self, name: str) -> None:
        """Remove the record and the log."""
        for suffix in ("json", "log"):
            (self._folder / f"{name}.{suffix}").unlink(missing_ok=True)


def _ready(name: str, process: psutil.Popen, log: Path, begin: int, patience: float) -> str:
    """The address of a server once it is ready."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        said = log.read_bytes()[begin:].decode(errors="replace")
        if process.poll() is not None:
            raise DeploymentFailedError(name, f"it ended with {process.returncode}: {_last(said)}", str(log))
        announced = _SAID.search(said)
        if announced is not None and _answers(name, announced[1], str(log)):
            return announced[1]
        time.sleep(_PAUSE)
    raise DeploymentFailedError(name, f"it was not ready within {patience:g} s", str(log))


def _answers(name: str, url: str, log: str) -> bool:
    try:
        return requests.get(f"{url}/ready", timeout=5).status_code == 200
    except requests.exceptions.SSLError as error:
        problem = f"its certificate is not trusted here ({error}); name its authority in REQUESTS_CA_BUNDLE"
        raise DeploymentFailedError(name, problem, log) from error
    except requests.exceptions.RequestException:
        return False


def _last(said: str) -> str:
    lines: Sequence[str] = said.strip().splitlines() or ["it said nothing"]
    return lines[-1][:500]
