"""A model as model files and notebooks see it: the spec, and the verbs of the loop, which are the shell's too."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from flows import model
from flows.errors import ModelFileError
from flows.results import Result
from incumbent.feature_verbs import FeatureVerbs


class Model(FeatureVerbs):
    """A model and its verbs: each runs the flow of the same name and returns its result. Its fields: `flows.model`.

    `as_of` is a moment with a zone; results show as tables in a notebook and link to the Prefect and MLflow runs.
    """

    __slots__ = ()

    def check(self) -> Result:
        """Spec, schema, leakage and a dry run on a sample."""
        return self._do("check")

    def ingest(self, as_of: str | datetime | None = None) -> Result:
        """Validate what has become known by `as_of`; store what is good, quarantine what is not."""
        return self._do("ingest", as_of)

    def expect(self, as_of: str | datetime | None = None, *, write: bool = False) -> Result:
        """Infer what each source's next batch should be like; `write` keeps it in files beside the model file."""
        from flows.expecting import expect
        from flows.running import looking, moment_or_now

        with looking() as loop:
            return expect(loop, self, moment_or_now(as_of), write=write)

    def health(self, as_of: str | datetime | None = None) -> Result:
        """Steps against their own history, scoring servers, and the age of features; renews Prometheus' text file."""
        from flows.running import looking, moment_or_now

        with looking() as loop:
            from flows.health import health

            return health(loop, self, moment_or_now(as_of))

    def train(self, as_of: str | datetime | None = None) -> Result:
        """Fit the candidates, gate the best, register it, and let the policy decide on it."""
        return self._do("train", as_of)

    def score(self, as_of: str | datetime | None = None) -> Result:
        """Predict the questions of the window that ends at `as_of` with the champion."""
        return self._do("score", as_of)

    def monitor(self, as_of: str | datetime | None = None) -> Result:
        """Look at the window that ends at `as_of`: evidence and, where a person will look, a report."""
        return self._do("monitor", as_of)

    def decide(self, as_of: str | datetime | None = None) -> Result:
        """Ask the policy about the window's evidence, and do what it says."""
        return self._do("decide", as_of)

    def deploy(self, start: str | datetime | None = None) -> Result:
        """Register train, monitor and score with Prefect, and the automation that retrains.

        Args:
            start: anchor of the schedules; by default the one that is registered already, else this moment.
        """
        from flows import running

        return running.deploy(self, start)

    def trigger(self, verb: str, as_of: str | datetime | None = None) -> Result:
        """Start the deployment of `train`, `monitor` or `score` by hand, and wait until a worker has run it."""
        from flows import running

        return running.trigger(self, verb, as_of)

    def why(self, what: str | int | None = None) -> Result:
        """The record of a decision (by id) or of a version (by number); without one, every decision on this model."""
        from flows import running

        return running.why(self, what)

    def _do(self, verb: str, as_of: str | datetime | None = None) -> Result:
        from flows import running

        return running.do(verb, self, as_of)


def load_model(reference: str | Path) -> Model:
    """Load a model by `path/to/file.py:name`, `path/to/file.py` or the folder with its `model.py`.

    Raises:
        ModelNotFoundError: no such file or model.
        ModelFileError: the file raises when it is run, or its model has no verbs.
    """
    found = model.load_model(reference)
    if not isinstance(found, Model):
        fix = f"{found.name} is a flows.model.Model, which has no verbs. Import Model from incumbent"
        raise ModelFileError(Path(str(reference)), fix)
    return found
