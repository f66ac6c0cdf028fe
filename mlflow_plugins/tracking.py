"""Runs in MLflow: opened by experiment and name, logged in few calls, and never left RUNNING.

Runs are made through the client with explicit ids. MLflow's fluent active run belongs to one thread, so a
task on another thread would open a stray run; the tags of the run context, which only the fluent API adds
by itself, are asked for by name.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from lifecycle.errors import UnreachableError
from lifecycle.run_tags import STEP
from mlflow_plugins.answers import answers
from mlflow_plugins.connection import Connection
from mlflow_plugins.mlflow_run import MlflowRun

if TYPE_CHECKING:
    from mlflow.entities import Run

SERIES_TAG = "incumbent.series"
PROCESS_TAG = "incumbent.process"
# Without it MLflow opens the experiment as one of prompts and traces, until it has seen enough runs to guess.
_KIND = {"mlflow.experimentKind": "custom_model_development"}
_UNSAFE = re.compile(r"[^\w.-]+")
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StepRun:
    """One run of a step of the loop, as its MLflow run tells it."""

    step: str
    seconds: float
    failed: bool


class MlflowTracker:
    """Runs by experiment and name. Fits `lifecycle.ports.Tracker`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._experiments: dict[str, str] = {}
        self._series: dict[tuple[str, str], str] = {}

    @contextmanager
    def run(self, experiment: str, name: str) -> Iterator[MlflowRun]:
        """Open a new run; it ends FINISHED, FAILED when the block raises, KILLED when it is interrupted.

        Raises:
            UnreachableError: MLflow does not answer.
        """
        run_id = self._create(experiment, name, {})
        with self._ended(run_id):
            yield MlflowRun(self.connection, run_id)

    @contextmanager
    def series(self, experiment: str, name: str) -> Iterator[MlflowRun]:
        """Open the one run of this name, made at its first use: a time series over windows.

        Logging a step again changes nothing, so a window that is done twice shows once.

        Raises:
            UnreachableError: MLflow does not answer.
        """
        run_id = self._series.get((experiment, name)) or self._find_series(experiment, name)
        if run_id is None:
            run_id = self._create(experiment, name, {SERIES_TAG: name})
        else:
            self._resume(run_id)
        self._series[experiment, name] = run_id
        with self._ended(run_id):
            yield MlflowRun(self.connection, run_id, once_per_step=True)

    def end_stale(self, experiment: str) -> int:
        """Mark runs that a killed process of this machine left RUNNING as KILLED; how many there were.

        A run of another machine, or of a process that is alive, is left alone.
        """
        with answers(self.connection.tracking_uri):
            found = self.connection.client.get_experiment_by_name(experiment)
            if found is None:
                return 0
            running = self._search(found.experiment_id, "attributes.status = 'RUNNING'")
            stale = [run for run in running if _is_dead(run.data.tags.get(PROCESS_TAG, ""))]
            for run in stale:
                self.connection.client.set_terminated(run.info.run_id, "KILLED")
        return len(stale)

    def step_runs(self, experiments: Sequence[str], newest: int = 500) -> list[StepRun]:
        """The steps that ended, newest first: how long each took on the wall clock, and whether it failed.

        A run that was killed says nothing about either, and is left out.

        Args:
            newest: at most so many.
        """
        with answers(self.connection.tracking_uri):
            client = self.connection.client
            ids = [found.experiment_id for name in experiments if (found := client.get_experiment_by_name(name))]
            if not ids:
                return []
            ended = "attributes.status != 'RUNNING' AND attributes.status != 'KILLED'"
            runs = client.search_runs(ids, ended, max_results=newest, order_by=["attributes.start_time DESC"])
        return [
            StepRun(run.data.tags[STEP], (run.info.end_time - run.info.start_time) / 1000, run.info.status == "FAILED")
            for run in runs
            if STEP in run.data.tags
        ]

    def run_url(self, run_id: str) -> str:
        """Page of a run in the MLflow UI."""
        with answers(self.connection.tracking_uri):
            experiment = self.connection.client.get_run(run_id).info.experiment_id
        return f"{self.connection.ui_url}/#/experiments/{experiment}/runs/{run_id}"

    def run_tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        with answers(self.connection.tracking_uri):
            return dict(self.connection.client.get_run(run_id).data.tags)

    def _create(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        from mlflow.tracking.context.registry import resolve_tags

        experiment_id = self._experiment_id(experiment)
        all_tags = resolve_tags({PROCESS_TAG: _this_process(), **tags})
        with answers(self.connection.tracking_uri):
            created = self.connection.client.create_run(experiment_id, tags=all_tags, run_name=name)
        return str(created.info.run_id)

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            with answers(self.connection.tracking_uri):
                found = self.connection.client.get_experiment_by_name(name)
                self._experiments[name] = found.experiment_id if found else self._create_experiment(name)
        return self._experiments[name]

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        folder = self.connection.artifacts
        location = (folder / _UNSAFE.sub("-", name)).as_uri() if folder else None
        try:
            return self.connection.client.create_experiment(name, artifact_location=location, tags=_KIND)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another process was first.
            found = self.connection.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find_series(self, experiment: str, name: str) -> str | None:
        experiment_id = self._experiment_id(experiment)
        with answers(self.connection.tracking_uri):
            candidates = self._search(experiment_id, f"tags.`{SERIES_TAG}` != ''")
        # Oldest first, so that two processes that made one each agree from then on.
        named = [run for run in candidates if run.data.tags[SERIES_TAG] == name]
        return str(named[0].info.run_id) if named else None

    def _search(self, experiment_id: str, condition: str) -> list[Run]:
        found: list[Run] = []
        token = None
        while True:
            page = self.connection.client.search_runs(
                [experiment_id],
                condition,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def _resume(self, run_id: str) -> None:
        with answers(self.connection.tracking_uri):
            self.connection.client.update_run(run_id, status="RUNNING")
            self.connection.client.set_tag(run_id, PROCESS_TAG, _this_process())

    @contextmanager
    def _ended(self, run_id: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            # What went wrong in the block matters more than an MLflow that is gone as well.
            with suppress(UnreachableError), answers(self.connection.tracking_uri):
                self.connection.client.set_terminated(run_id, status)
            raise
        with answers(self.connection.tracking_uri):
            self.connection.client.set_terminated(run_id)


def _this_process() -> str:
    """Host, process id and start time: a process id alone is given again after a while."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def _is_dead(process: str) -> bool:
    host, _, rest = process.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True
