"""The verbs of the loop from Python and notebooks; the shell's verbs are the same functions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

from flows.features.verbs import FeatureVerbs

if TYPE_CHECKING:
    from flows.model import Model
    from flows.results import Result


class Verbs(FeatureVerbs):
    """What can be done with a model: each verb runs the flow of the same name and returns its result.

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
            return expect(loop, cast("Model", self), moment_or_now(as_of), write=write)

    def health(self, as_of: str | datetime | None = None) -> Result:
        """Steps against their own history, scoring servers, and the age of features; renews Prometheus' text file."""
        from flows.running import looking, moment_or_now

        with looking() as loop:
            from flows.health import health

            return health(loop, cast("Model", self), moment_or_now(as_of))

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

        return running.deploy(cast("Model", self), start)

    def trigger(self, verb: str, as_of: str | datetime | None = None) -> Result:
        """Start the deployment of `train`, `monitor` or `score` by hand, and wait until a worker has run it."""
        from flows import running

        return running.trigger(cast("Model", self), verb, as_of)

    def why(self, what: str | int | None = None) -> Result:
        """The record of a decision (by id) or of a version (by number); without one, every decision on this model."""
        from flows import running

        return running.why(cast("Model", self), what)

    def _do(self, verb: str, as_of: str | datetime | None = None) -> Result:
        from flows import running

        return running.do(verb, cast("Model", self), as_of)
