"""What a policy can answer. A closed set: consume it with `match` and `assert_never`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """Change nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retrain:
    """Start a training run; what it registers is a challenger."""

    reason: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Make this version the champion."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Make an earlier champion the champion again."""

    to_version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Change nothing until a person decides."""

    reason: str


Action = Hold | Retrain | Promote | Rollback | Freeze
