"""What is looked at first: far beyond its threshold, and important."""

from __future__ import annotations

import itertools

from lifecycle.drift_findings import DriftFinding, look_first, with_importance


def finding(
    column: str, score: float | None, importance: float | None = None, *, drifted: bool | None = True, q: float = 1e-6
) -> DriftFinding:
    return DriftFinding(column, "wasserstein (normed)", score, 0.1, 1000, q=q, drifted=drifted, importance=importance)


def order(*findings: DriftFinding) -> list[str]:
    """The columns as they are ranked, which does not depend on the order they come in."""
    orders = {tuple(one.column for one in look_first(some)) for some in itertools.permutations(findings)}
    (found,) = orders
    return list(found)


def test_a_small_shift_of_what_matters_comes_before_a_large_one_of_what_does_not() -> None:
    assert order(finding("far", 0.8, 0.05), finding("near", 0.2, 0.6)) == ["near", "far"]


def test_a_sudden_change_comes_before_a_season_that_moved_farther() -> None:
    assert order(finding("season", 0.8, 0.9, q=0.4), finding("renamed", 0.2, 0.1)) == ["renamed", "season"]


def test_what_has_not_drifted_or_cannot_be_told_is_not_in_the_order() -> None:
    calm, unknown = finding("calm", 0.9, 0.9, drifted=False), finding("unknown", None, 0.9, drifted=None)

    assert order(calm, unknown, finding("drifted", 0.11, 0.01)) == ["drifted"]


def test_an_unknown_importance_counts_as_the_largest_known_one_and_is_told() -> None:
    new, known, small = finding("new", 0.3), finding("known", 0.2, 0.5), finding("small", 0.9, 0.1)

    assert order(new, known, small) == ["new", "known", "small"]
    assert [one.named for one in look_first((new, known))] == ["new (importance unknown)", "known (importance 50%)"]


def test_without_any_importance_the_score_decides() -> None:
    assert order(finding("a", 0.2), finding("b", 0.7), finding("c", 0.7)) == ["b", "c", "a"]
    assert order(finding("a", 0.2, 0.0), finding("b", 0.7, 0.0)) == ["b", "a"]


def test_a_column_that_is_gone_weighs_as_much_as_the_farthest_one() -> None:
    gone, far, less = finding("gone", None, 0.3), finding("far", 0.4, 0.3), finding("less", 0.4, 0.2)

    assert order(gone, far, less) == ["gone", "far", "less"]


def test_what_follows_from_the_features_comes_behind_them_and_has_no_importance() -> None:
    prediction, cause = finding("prediction", 0.9), finding("delay", 0.2, 0.01)

    assert order(prediction, cause) == ["delay", "prediction"]
    assert prediction.named == "prediction"


def test_importance_is_a_share_of_all_loss_and_a_column_that_does_not_help_has_none() -> None:
    findings = tuple(finding(name, 0.2) for name in ("delay", "carrier", "noise", "prediction"))

    filled = with_importance(findings, {"delay": 0.03, "carrier": 0.01, "noise": -0.002})

    assert [one.importance for one in filled] == [0.75, 0.25, 0.0, None]


def test_a_version_without_stored_importances_leaves_all_unknown() -> None:
    assert [one.importance for one in with_importance((finding("delay", 0.2),), {})] == [None]
    assert look_first(()) == ()
