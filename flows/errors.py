"""What can go wrong between the spec and the flows.

FlowsError
├── SpecError (ValueError)                 a field of a Model that contradicts the rest
├── ModelFileError (ValueError)            a model file that does not load
│   └── ModelNotFoundError (LookupError)   no such file, or no such model in it
├── NotFittedError (RuntimeError)          a Model without fit
├── AsOfError (ValueError)                 a flow without a moment to be about
├── UnknownPolicyError (ValueError)        a replay policy that has no name here
├── AlertBlockNotFoundError (LookupError)  a notification block that Prefect does not have
├── UnknownDeploymentError (LookupError)   a verb that is not deployed
├── BatchRefusedError (ValueError)         the data said no
├── GateRefusedError (RuntimeError)        a gate said no
├── FeatureGoneError (LookupError)         the champion takes a feature that the model file has no more
├── SkewFoundError (RuntimeError)          features were served otherwise than they are computed
├── EmptyWindowError (LookupError)         a window of time in which nothing was asked or logged
├── NothingScoredError (LookupError)       answers by key were asked for, and nothing was scored
├── TopError (ValueError)                  the best of nobody were asked for, or by no part of the key
├── GridError (ValueError)                 a file that does not say which combinations to answer
├── UnknownViewError (LookupError)         a name that no feature view and no feature has
├── UnknownSourceError (LookupError)       a name that no source of the model has
├── SettingsError (ValueError)             incumbent.toml or a variable that no setting knows
├── ServerError (RuntimeError)             a local server did not start
└── GuessError (ValueError)                `init` cannot tell what a table is about
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path


class FlowsError(Exception):
    """Base of every error raised by the spec, the flows and the command."""


class SpecError(FlowsError, ValueError):
    """A field of a Model that contradicts the rest."""

    def __init__(self, field: str, given: object, fix: str) -> None:
        self.field = field
        super().__init__(f"{field} is {given!r}. {fix}")


class ModelFileError(FlowsError, ValueError):
    """A model file that does not load."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} cannot be used as a model file: {problem}")


class ModelNotFoundError(ModelFileError, LookupError):
    """No such file, or no such model in it."""

    def __init__(self, path: Path, name: str | None, present: Iterable[str]) -> None:
        present = sorted(present)
        if not path.exists():
            problem = (
                "there is no such file. Name a .py file or a folder with a model.py; make one: incumbent init DATA"
            )
        elif name is None:
            problem = f"it holds {present or 'no Model'}. Name one: {path}:NAME"
        else:
            problem = f"it has no Model {name!r}; it holds {present}. Name one: {path}:NAME"
        super().__init__(path, problem)


class NotFittedError(FlowsError, RuntimeError):
    """A Model without fit."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Model {model!r} has nothing to fit. Give it an estimator, model.fit(SomeClassifier()), "
            f"or decorate a function with @model.fit."
        )


class AsOfError(FlowsError, ValueError):
    """A flow without a moment to be about."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"as_of is {given!r}. Give a moment with a zone as text, for example 2013-03-01T00:00:00Z, "
            f"or nothing in a scheduled run, which then is about its scheduled start."
        )


class UnknownPolicyError(FlowsError, ValueError):
    """A replay policy that has no name here."""

    def __init__(self, given: str, known: Iterable[str]) -> None:
        super().__init__(f"No policy is called {given!r}. Choose from {sorted(known)}, several with a comma between.")


class UnknownDeploymentError(FlowsError, LookupError):
    """A verb that is not deployed."""

    def __init__(self, model: str, verb: str, known: Iterable[str]) -> None:
        super().__init__(
            f"Model {model!r} has no deployment of {verb!r}. Run incumbent deploy first; it makes {sorted(known)}."
        )


class AlertBlockNotFoundError(FlowsError, LookupError):
    """A notification block that Prefect does not have."""

    def __init__(self, block: str, owner: str) -> None:
        super().__init__(
            f"Alerts for {owner!r} go to the block {block!r}, which Prefect does not have. Make it in Prefect's UI "
            f"under Blocks, or correct [alerts] blocks, which names it TYPE/NAME."
        )


class BatchRefusedError(FlowsError, ValueError):
    """The data said no."""

    def __init__(self, source: str, problem: str, columns: Iterable[str] = ()) -> None:
        self.source = source
        self.problem = problem
        self.columns = tuple(columns)
        super().__init__(
            f"The batch of {source!r} was refused and nothing of it was stored: {problem}. "
            f"Correct the source, then run the same command again."
        )


class GateRefusedError(FlowsError, RuntimeError):
    """A gate said no."""

    def __init__(self, model: str, reason: str, reference: object) -> None:
        super().__init__(
            f"Model {model!r}: {reason}. The champion stays. See the whole record with: incumbent why {reference}"
        )


class FeatureGoneError(FlowsError, LookupError):
    """The champion takes a feature that the model file has no more."""

    def __init__(self, model: str, version: int, gone: Iterable[str]) -> None:
        self.gone = sorted(gone)
        super().__init__(
            f"Version {version} of {model!r} takes the features {self.gone}, which the model file has no more, so it "
            f"cannot answer. Put them back, or train and promote the new version by hand: no gate can compare the two."
        )


class SkewFoundError(FlowsError, RuntimeError):
    """Features were served otherwise than they are computed."""

    def __init__(self, model: str, skewed: Sequence[str], cells: int) -> None:
        self.skewed = tuple(skewed)
        super().__init__(
            f"Model {model!r}: {cells:,} cells of {len(self.skewed)} features were served otherwise than they are "
            f"computed, most of {self.skewed[0]!r}. Compute it where it is served as the model file "
            f"does, or correct what the callers send."
        )


class EmptyWindowError(FlowsError, LookupError):
    """A window of time in which nothing was asked or logged."""

    def __init__(self, what: str, done: str, window: object, newest: datetime | None) -> None:
        last = f"the newest before its end is of {newest.isoformat()}" if newest else "there is none before its end"
        super().__init__(
            f"No {what} was {done} in {window}; {last}. Ingest and score first, or name another window "
            f"with --from and --to."
        )


class NothingScoredError(FlowsError, LookupError):
    """Answers by key were asked for, and nothing was scored."""

    def __init__(self, model: str, version: int, window: str) -> None:
        super().__init__(
            f"Version {version} of {model!r} has scored nothing in {window}. "
            f"Run incumbent score first, or name a later moment with --as-of."
        )


class TopError(FlowsError, ValueError):
    """The best of nobody were asked for, or by no part of the key."""

    def __init__(self, by: str, top: int, key: Iterable[str]) -> None:
        super().__init__(
            f"--top {top} --by {by!r} cannot be computed. Give a count of at least 1 and some, not all, of the columns "
            f"by which questions are told apart: {list(key)}."
        )


class GridError(FlowsError, ValueError):
    """A file that does not say which combinations to answer."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"The grid {path} cannot be computed: {problem}. "
            f'Write JSON with the values of each column, such as {{"carrier": ["UA", "B6"], "hour": [6, 7, 8]}}.'
        )


class UnknownViewError(FlowsError, LookupError):
    """A name that no feature view and no feature has."""

    def __init__(self, model: str, given: str, views: Iterable[str], features: Iterable[str]) -> None:
        super().__init__(
            f"Model {model!r} has no feature view or feature {given!r}. Its views are {sorted(views)}, "
            f"its features {sorted(features)}."
        )


class UnknownSourceError(FlowsError, LookupError):
    """A name that no source of the model has."""

    def __init__(self, model: str, given: str, sources: Iterable[str]) -> None:
        super().__init__(f"Model {model!r} reads no source {given!r}. Its sources are {sorted(sources)}.")


class SettingsError(FlowsError, ValueError):
    """`incumbent.toml` or a variable that no setting knows."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"Settings from {where}: {problem}. Every setting is in docs/reference/settings.md")


class ServerError(FlowsError, RuntimeError):
    """A local server did not start."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        super().__init__(f"{name} {problem}. Its log is {log}; what is wrong is usually told by: incumbent doctor")


class GuessError(FlowsError, ValueError):
    """`init` cannot tell what a table is about."""

    def __init__(self, what: str, columns: Iterable[str], fix: str) -> None:
        super().__init__(f"No column of {sorted(columns)} looks like {what}. {fix}.")
