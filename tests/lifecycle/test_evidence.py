from __future__ import annotations

from dataclasses import replace
from typing import Any

from lifecycle.evidence import Evidence, LabelCoverage
from lifecycle.records import from_plain, to_plain


def test_a_score_at_its_threshold_is_far_and_an_unknown_one_is_not(findings) -> None:
    assert [finding.far for finding in findings(0.1, 0.0999, None)] == [True, False, False]


def test_the_share_of_drifted_columns_counts_the_unknown_as_not_drifted(evidence_of, findings) -> None:
    assert evidence_of(drift=findings(0.2, None, 0.0, 0.3)).drift_share == 0.5
    assert evidence_of(drift=findings(0.2, None, 0.0, 0.3)).far_share == 0.5
    assert evidence_of().drift_share == evidence_of().far_share == 0.0


def test_drift_is_known_where_the_rule_can_tell_of_one_column_at_least(evidence_of, findings) -> None:
    some, none = evidence_of(drift=findings(None, 0.0)), evidence_of(drift=findings(None, None))

    assert (some.drift_known, some.undecided) == (True, ("c0",))
    assert (none.drift_known, none.undecided) == (False, ("c0", "c1"))
    assert not evidence_of().drift_known


def test_what_drifted_is_told_causes_first_then_the_least_probable_then_the_larger_effect(
    evidence_of: Any, findings: Any
) -> None:
    names, q = ("prediction", "season", "renamed", "gone", "calm"), (0.0, 0.6, 1e-9, 1e-9, 1.0)
    found = findings(0.9, 0.8, 0.2, None, 0.01)
    seen = [replace(one, column=a, q=b, drifted=a != "calm") for one, a, b in zip(found, names, q, strict=True)]

    evidence = evidence_of(drift=tuple(seen))

    assert [one.column for one in evidence.drifted] == ["gone", "renamed", "season", "prediction"]


def test_coverage_is_of_labels_that_can_arrive() -> None:
    assert LabelCoverage(asked=10, labelled=6, waiting=2, never=2).share == 0.75
    assert LabelCoverage(asked=2, labelled=0, waiting=0, never=2).share == 0.0


def test_refusals_are_the_gates_that_said_no(challenger) -> None:
    assert [verdict.gate for verdict in challenger(True, False, True, False).refusals] == ["gate 1", "gate 3"]


def test_evidence_recorded_before_features_were_compared_together_and_had_importances_is_read(
    evidence_of: Any, findings: Any
) -> None:
    plain = to_plain(evidence_of(drift=findings(0.2)))
    del plain["joint"], plain["drift"][0]["importance"]

    assert from_plain(Evidence, plain) == evidence_of(drift=findings(0.2))
