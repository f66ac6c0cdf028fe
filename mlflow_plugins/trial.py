"""A model is first loaded where it can do least harm: in a process of its own, without secrets, for a limited time.

The types in a file are checked before it is loaded, so nothing should run. This is for what that check does not see:
a fault in a library that reads the file, a loop without end, a model that takes all memory. It is a second fence and
no jail: the process has no network and no privileges where the kernel lets it give them up, but it may still read files
of its user.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from lifecycle.errors import IntegrityError
from mlflow_plugins.contents import check_files, contents_digest

SECONDS = 60
MAX_MEMORY, MAX_WRITTEN = 16 << 30, 0
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_LIBRARIES = ("scikit-learn", "skops", "numpy", "pandas")


@dataclass(frozen=True, slots=True)
class Trial:
    """A model to be tried.

    Attributes:
        folder: where it lies on this machine.
        digest: content digest that the ledger or the registry recorded.
        contents: digest of `contents.json` that the registry recorded, or none.
        extra_types: types the operator allows beyond our own list.
    """

    folder: str
    digest: str
    contents: str | None = None
    extra_types: tuple[str, ...] = ()


def try_in_clean_process(trial: Trial, passed: Path, *, seconds: float = SECONDS) -> None:
    """Load a model, with every check of the loader, in another process; once for the same files and libraries.

    Args:
        passed: folder in which passed trials are remembered, by the digest of the files and the releases in use.
        seconds: how long it may take.

    Raises:
        IntegrityError: it did not load there, ran out of time, or what it is differs from what was recorded.
    """
    folder = Path(trial.folder)
    check_files(folder, trial.contents)
    mark = passed / _name(trial)
    if mark.exists():
        return
    passed.mkdir(parents=True, exist_ok=True)
    with FileLock(mark.with_suffix(".lock")):  # the workers of a server come here together
        if not mark.exists():
            _try(trial, seconds)
            mark.touch()


def _try(trial: Trial, seconds: float) -> None:
    what = f"Trial of the model in {trial.folder}"
    with tempfile.TemporaryDirectory(prefix="incumbent-trial-") as elsewhere:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mlflow_plugins.clean_process"],
                input=json.dumps(asdict(trial)).encode(),
                capture_output=True,
                timeout=seconds,
                cwd=elsewhere,
                env=_environment(elsewhere),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise IntegrityError(what, f"an answer within {seconds:g} s", "none") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise IntegrityError(what, "a model that loads in a clean process", said[-1][:500])


def _name(trial: Trial) -> str:
    told = [contents_digest(Path(trial.folder)), trial.digest, sorted(trial.extra_types), sys.version]
    told += [version(name) for name in _LIBRARIES]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _environment(elsewhere: str) -> dict[str, str]:
    """No credentials, no home, one thread, and our own packages where they are."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    own = {"PYTHONPATH": str(Path(__file__).parents[1]), "HOME": elsewhere, "TMPDIR": elsewhere}
    return {**kept, **threads, **own, "PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def main() -> None:
    """The other process: read a trial, load the model under limits, and say what was wrong."""
    trial = _read(sys.stdin.read())
    from mlflow_plugins.loader import load

    _limit()
    load(
        Path(trial.folder),
        expected_digest=trial.digest,
        expected_contents=trial.contents,
        extra_types=trial.extra_types,
    )


def _read(text: str) -> Trial:
    told = json.loads(text)
    return Trial(told["folder"], told["digest"], told["contents"], tuple(told["extra_types"]))


def _limit() -> None:
    """No file is written, and memory is bounded."""
    for kind, most in ((resource.RLIMIT_FSIZE, MAX_WRITTEN), (resource.RLIMIT_AS, MAX_MEMORY)):
        with contextlib.suppress(ValueError):  # the operator's own limit is lower
            resource.setrlimit(kind, (most, most))
