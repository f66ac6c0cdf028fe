"""Values to JSON and back, for any value the loop can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.actions import Freeze, Hold, Promote, Retrain, Rollback
from lifecycle.errors import RecordFormatError
from lifecycle.evidence import (
    Anomaly,
    ChallengerFacts,
    ChampionFacts,
    Comparison,
    DriftFinding,
    Estimate,
    Evidence,
    IngestFacts,
    LabelCoverage,
    Performance,
    Verdict,
)
from lifecycle.moments import Window, parse_moment
from lifecycle.records import from_plain, to_bytes, to_plain

text = st.text(max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False)
count = st.integers(0, 10**9)
moment = st.integers(0, 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
windows = st.builds(lambda end, days: Window.before(end, timedelta(days=days)), moment, st.integers(0, 400))
estimates = st.builds(Estimate, number, number, number, count, count)
verdicts = st.builds(Verdict, text, st.booleans(), text, st.none() | estimates)
coverages = st.builds(LabelCoverage, count, count, count, count)
evidences = st.builds(
    Evidence,
    model=text,
    as_of=moment,
    window=windows,
    champion=st.none() | st.builds(ChampionFacts, count, count, text, number, moment),
    drift=st.lists(st.builds(DriftFinding, text, text, st.none() | number, number, count, text), max_size=3).map(tuple),
    performance=st.none() | st.builds(Performance, text, windows, st.none() | estimates, coverages),
    against_previous=st.none() | st.builds(Comparison, count, text, estimates, number),
    ingested=st.lists(
        st.builds(
            IngestFacts,
            *(text, count, count, text, st.none() | moment, st.booleans(), st.none() | text, text),
            st.lists(st.builds(Anomaly, text, text), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    challenger=st.none()
    | st.builds(ChallengerFacts, count, text, text, st.none() | count, st.lists(verdicts, max_size=3).map(tuple)),
    last_training=st.none() | moment,
    label_delay_p95=st.none() | st.integers(0, 10**7).map(lambda seconds: timedelta(seconds=seconds)),
)


@given(evidences)
def test_evidence_comes_back_as_it_was(evidence: Evidence) -> None:
    stored = to_bytes(evidence)

    again = from_plain(Evidence, json.loads(stored))

    assert again == evidence
    assert to_bytes(again) == stored


def test_a_field_that_came_later_has_its_default_in_an_older_record() -> None:
    facts = IngestFacts("flights", rows=3, quarantined=0, digest="d")
    older = {name: value for name, value in to_plain(facts).items() if name not in {"suite", "anomalies"}}

    assert from_plain(IngestFacts, older) == facts


@pytest.mark.parametrize("action", [Hold("a"), Retrain("b"), Promote(2, "c"), Rollback(1, "d"), Freeze("e")])
def test_each_action_says_which_it_is(action: object) -> None:
    plain = to_plain(action)

    assert plain["type"] == type(action).__name__
    assert from_plain(type(action), plain) == action


def test_equal_values_are_equal_bytes_whatever_the_order_and_zone() -> None:
    assert to_bytes({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert to_bytes([parse_moment("2013-01-01T00:00-05:00")]) == to_bytes([parse_moment("2013-01-01T05:00Z")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_bytes({"a": float("nan")})


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ({"type": "Hold"}, r"\['reason'\] missing"),
        ({"type": "Retrain", "reason": ""}, "expected a Hold"),
        ({"type": "Hold", "reason": 7}, "Hold.reason cannot be read: expected str, found 7"),
        ("Hold", "expected a Hold, found 'Hold'"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_how(plain: object, problem: str) -> None:
    with pytest.raises(RecordFormatError, match=problem):
        from_plain(Hold, plain)
