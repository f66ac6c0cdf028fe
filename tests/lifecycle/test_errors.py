"""Every error says what happened, with which values, and what to do."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from lifecycle import errors
from lifecycle.errors import LifecycleError

DAY = timedelta(days=1)
MESSAGES = [
    (
        errors.MomentError("noon"),
        "'noon' is not a moment with a time zone. "
        "Write ISO 8601 with a zone, for example 2013-03-01T00:00:00Z or 2013-03-01T06:00-05:00.",
    ),
    (
        errors.SpanError("soon"),
        "'soon' is not a length of time. "
        "Write a whole number and a unit of s, m, h, d or w, for example 2h, 10m or 30d.",
    ),
    (errors.MetricError("f1", "unknown. Choose one of ['auc']."), "Metric 'f1': unknown. Choose one of ['auc']."),
    (errors.PolicyError("Policy.every", "0d", "Give more."), "Policy.every is '0d'. Give more."),
    (
        errors.CooldownTooShortError(DAY, 2 * DAY, 5 * DAY),
        "Policy.cooldown is '1 day, 0:00:00'. 95 % of the labels take up to 2 days, 0:00:00, so an effect cannot be "
        "seen earlier. Make it at least 5 days, 0:00:00, or leave it out.",
    ),
    (
        errors.RecordFormatError("Hold", "['reason'] missing"),
        "A stored Hold cannot be read: ['reason'] missing. "
        "It was written by another release or altered; read it with the release that wrote it.",
    ),
    (
        errors.AliasNotSetError("late", "champion"),
        "Registered model 'late' has no alias 'champion'. Train and promote a version: incumbent train MODEL.",
    ),
    (
        errors.VersionNotFoundError("late", 9, {2, 1}),
        "Registered model 'late' has no version 9; it has [1, 2]. Choose one of those, or train a new one.",
    ),
    (
        errors.NoChampionError("late"),
        "Model 'late' has no champion yet: the ledger holds no epoch of it. "
        "Train one: incumbent train MODEL --as-of MOMENT.",
    ),
    (
        errors.DecisionNotFoundError("abc", 3),
        "No decision or version 'abc' among 3 decisions in the ledger. List them with: incumbent why MODEL.",
    ),
    (
        errors.EpochTakenError("late", 3, 4),
        "Model 'late': epoch 4 could not be taken after epoch 3, the ledger is at 4. "
        "Another promotion came first; look at the new champion and decide again.",
    ),
    (
        errors.UnreachableError("MLflow", "http://127.0.0.1:5000", "connection refused"),
        "MLflow at http://127.0.0.1:5000 did not answer: connection refused. Nothing was promoted. "
        "Start it (incumbent up) or correct the address in incumbent.toml, then run the same command again.",
    ),
    (
        errors.IntegrityError("Version 3", "abc", "abd"),
        "Version 3: expected abc, found abd. It was altered after it was recorded; "
        "it is not used. Restore it, or promote another version.",
    ),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda given: type(given).__name__)
def test_the_message_has_three_parts(error: LifecycleError, message: str) -> None:
    assert str(error) == message


def test_no_error_class_is_without_a_message_test() -> None:
    classes = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, LifecycleError) and kind is not LifecycleError
    }

    assert classes == {type(error) for error, _ in MESSAGES}


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda given: type(given).__name__)
def test_each_error_is_also_the_builtin_a_caller_would_expect(error: LifecycleError, message: str) -> None:
    assert isinstance(error, (ValueError, LookupError, RuntimeError, ConnectionError))
