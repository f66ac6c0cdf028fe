"""The verbs about features from Python and notebooks: each answers a result that shows as tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flows import model
from flows.results import Result

Moment = str | datetime | None


class FeatureVerbs(model.Model):
    """What can be asked about a model's features. `incumbent features ...` in the shell are the same functions."""

    __slots__ = ()

    def list_features(self) -> Result:
        """Every feature view with its version, and whether the champion was trained on another."""
        from flows.features.looking import list_features
        from flows.running import looking

        with looking() as loop:
            return list_features(loop, self)

    def show_feature(self, name: str) -> Result:
        """The definition and version of a view, or of the view that makes a feature, and who was trained on it."""
        from flows.features.looking import show_feature
        from flows.running import looking

        with looking() as loop:
            return show_feature(loop, self, name)

    def feature_stats(self, start: Moment = None, end: Moment = None) -> Result:
        """Counts, nulls, and moments or frequent values of the features of a window's stored questions.

        Args:
            start: by default one window of the policy before the end.
            end: by default this moment.
        """
        from flows.features.looking import feature_stats
        from flows.running import looking, window_or_last

        with looking() as loop:
            return feature_stats(loop, self, window_or_last(self, start, end))

    def freshness(self, as_of: Moment = None) -> Result:
        """How old the newest row behind each view is, against how old it may be."""
        from flows.features.looking import freshness
        from flows.running import looking, moment_or_now

        with looking() as loop:
            return freshness(loop, self, moment_or_now(as_of))

    def materialize(self, as_of: Moment = None) -> Result:
        """Bring the online store up to what the lake knew at `as_of`, by default this moment.

        It holds the features of the model file, and those of the champion, its predecessor and the challenger as they
        were trained.
        """
        from flows.running import connected, moment_or_now
        from lifecycle.moments import iso

        with connected() as loop:
            from flows.features.materialize import materialize

            loop.models[self.reference] = self
            return materialize(self.reference, iso(moment_or_now(as_of)))

    def push(self, source: str, rows: Any, *, batch: str | None = None, as_of: Moment = None) -> Result:
        """Take rows of a source in, and bring them online at once.

        Args:
            source: its name.
            rows: a Polars or pandas frame with the columns that the source reads.
            batch: an id under which a repetition is recognised as one.
            as_of: by default this moment.
        """
        from flows.features.pushing import Pushed, push_rows
        from flows.running import looking, moment_or_now

        pushed = Pushed(source, rows) if batch is None else Pushed(source, rows, batch)
        with looking() as loop:
            return push_rows(loop, self, pushed, moment_or_now(as_of))

    def read_features(self, entity: Mapping[str, Any], as_of: Moment = None) -> Result:
        """What a new question about an entity is told online, beside what the lake computes for the same moment.

        Args:
            entity: the columns by which its rows are found, for example `{"origin": "EWR", "tailnum": "N14228"}`.
            as_of: by default this moment.
        """
        from flows.features.reading import read_features
        from flows.running import looking, moment_or_now

        with looking() as loop:
            return read_features(loop, self, entity, moment_or_now(as_of))

    def parity(self, start: Moment = None, end: Moment = None) -> Result:
        """Compute the features of logged answers again, and report every one that was served otherwise.

        Args:
            start: by default one window of the policy before the end.
            end: by default this moment.
        """
        from flows.running import connected, window_or_last
        from lifecycle.moments import iso

        window = window_or_last(self, start, end)
        with connected() as loop:
            from flows.features.parity import parity

            loop.models[self.reference] = self
            return parity(self.reference, iso(window.end), iso(window.start))

    def lineage(self, what: str | int | None = None) -> Result:
        """View, training set, run and version, and back: of a version, of a view or feature, or of every version."""
        from flows.features.lineage import lineage
        from flows.running import looking

        with looking() as loop:
            return lineage(loop, self, what)
