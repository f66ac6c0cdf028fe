"""What can go wrong with the loop's own words.

LifecycleError
├── MomentError (ValueError)             a moment without zone, or text that is no moment
├── SpanError (ValueError)               text that is no length of time
├── MetricError (ValueError)             an unknown metric, or a bound for the wrong direction
├── PolicyError (ValueError)             a policy or gate that contradicts itself
│   └── CooldownTooShortError            a cooldown shorter than the labels take to arrive
├── RecordFormatError (ValueError)       a stored record that does not fit its class
├── AliasNotSetError (LookupError)       a registered model has no such alias
├── VersionNotFoundError (LookupError)   no such registered model version
├── NoChampionError (LookupError)        the ledger knows no epoch of this model yet
├── DecisionNotFoundError (LookupError)  no decision with this id
├── EpochTakenError (RuntimeError)       somebody else promoted first
├── UnreachableError (ConnectionError)   a service did not answer; nothing was promoted
└── IntegrityError (RuntimeError)        an artifact or record is not what was recorded
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta


class LifecycleError(Exception):
    """Base of every error raised by the loop's own words."""


class MomentError(LifecycleError, ValueError):
    """A moment without a time zone, or text that is no moment."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"{given!r} is not a moment with a time zone. "
            f"Write ISO 8601 with a zone, for example 2013-03-01T00:00:00Z or 2013-03-01T06:00-05:00."
        )


class SpanError(LifecycleError, ValueError):
    """Text that is no length of time."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"{given!r} is not a length of time. "
            f"Write a whole number and a unit of s, m, h, d or w, for example 2h, 10m or 30d."
        )


class MetricError(LifecycleError, ValueError):
    """An unknown metric, or a bound for the wrong direction."""

    def __init__(self, metric: str, problem: str) -> None:
        super().__init__(f"Metric {metric!r}: {problem}")


class PolicyError(LifecycleError, ValueError):
    """A policy or gate that contradicts itself."""

    def __init__(self, field: str, given: object, fix: str) -> None:
        self.field = field
        super().__init__(f"{field} is {given!r}. {fix}")


class CooldownTooShortError(PolicyError):
    """A cooldown shorter than the labels take to arrive."""

    def __init__(self, cooldown: timedelta, label_delay_p95: timedelta, needed: timedelta) -> None:
        super().__init__(
            "Policy.cooldown",
            str(cooldown),
            f"95 % of the labels take up to {label_delay_p95}, so an effect cannot be seen earlier. "
            f"Make it at least {needed}, or leave it out.",
        )


class RecordFormatError(LifecycleError, ValueError):
    """A stored record that does not fit its class."""

    def __init__(self, wanted: str, problem: str) -> None:
        super().__init__(
            f"A stored {wanted} cannot be read: {problem}. "
            f"It was written by another release or altered; read it with the release that wrote it."
        )


class AliasNotSetError(LifecycleError, LookupError):
    """A registered model has no such alias."""

    def __init__(self, model: str, alias: str) -> None:
        super().__init__(
            f"Registered model {model!r} has no alias {alias!r}. Train and promote a version: incumbent train MODEL."
        )


class VersionNotFoundError(LifecycleError, LookupError):
    """No such registered model version."""

    def __init__(self, model: str, version: object, known: Iterable[int] = ()) -> None:
        super().__init__(
            f"Registered model {model!r} has no version {version!r}; it has {sorted(known)}. "
            f"Choose one of those, or train a new one."
        )


class NoChampionError(LifecycleError, LookupError):
    """The ledger knows no epoch of this model yet."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Model {model!r} has no champion yet: the ledger holds no epoch of it. "
            f"Train one: incumbent train MODEL --as-of MOMENT."
        )


class DecisionNotFoundError(LifecycleError, LookupError):
    """No decision with this id."""

    def __init__(self, wanted: str, known: int) -> None:
        super().__init__(
            f"No decision or version {wanted!r} among {known} decisions in the ledger. "
            f"List them with: incumbent why MODEL."
        )


class EpochTakenError(LifecycleError, RuntimeError):
    """Somebody else promoted first."""

    def __init__(self, model: str, expected: int, found: int) -> None:
        super().__init__(
            f"Model {model!r}: epoch {expected + 1} could not be taken after epoch {expected}, the ledger is at "
            f"{found}. Another promotion came first; look at the new champion and decide again."
        )


class UnreachableError(LifecycleError, ConnectionError):
    """A service did not answer; nothing was promoted."""

    def __init__(self, service: str, address: str, problem: str) -> None:
        super().__init__(
            f"{service} at {address} did not answer: {problem}. Nothing was promoted. "
            f"Start it (incumbent up) or correct the address in incumbent.toml, then run the same command again."
        )


class IntegrityError(LifecycleError, RuntimeError):
    """An artifact or record is not what was recorded."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(
            f"{what}: expected {expected}, found {found}. It was altered after it was recorded; "
            f"it is not used. Restore it, or promote another version."
        )
