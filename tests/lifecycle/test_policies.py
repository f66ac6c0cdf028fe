"""What a policy answers, and above all what it does not do when it does not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.actions import Hold, Promote, Retrain, Rollback
from lifecycle.errors import CooldownTooShortError, PolicyError, SpanError
from lifecycle.evidence import ChampionFacts, IngestFacts
from lifecycle.policies import Against, Condition, Elapsed, Finding, Policy, drifted, older, worse

DAY = timedelta(days=1)


class Says(Condition):
    """A condition with a fixed answer."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    def __str__(self) -> str:
        return f"says({self.answer})"

    def examine(self, *_: object, **__: object) -> Finding:
        return Finding(self.answer, str(self.answer))


def ask(condition: Condition, evidence, earlier=(), *, min_labels: int = 500) -> bool | None:
    return condition.examine(evidence, earlier, against=Against.GATE_VALUE, min_labels=min_labels).holds


answers = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=4)


@given(answers)
def test_or_and_and_follow_three_valued_logic(given_answers) -> None:
    either, both = Says(given_answers[0]), Says(given_answers[0])
    for answer in given_answers[1:]:
        either, both = either | Says(answer), both & Says(answer)

    expected_or = True if True in given_answers else (None if None in given_answers else False)
    expected_and = False if False in given_answers else (None if None in given_answers else True)
    assert (ask(either, None), ask(both, None)) == (expected_or, expected_and)


def test_a_policy_reads_as_it_was_written() -> None:
    policy = Policy(every="7d", retrain=(drifted() & older("30d")).for_(2) | worse("2.5%"), rollback=worse("5%"))

    assert str(policy) == (
        "every=7d, retrain=(drifted() & older(30d)).for_(2) | worse(2.5%), rollback=worse(5.0%), min_labels=500"
    )
    assert str((worse("2%") | drifted()) & older("2h")) == "(worse(2.0%) | drifted()) & older(2h)"


def test_drift_counts_columns_and_unknown_scores_are_no_drift(evidence_of, findings) -> None:
    assert ask(drifted(), evidence_of(drift=findings(0.2, 0.0))) is True
    assert ask(drifted(), evidence_of(drift=findings(0.2, None, None))) is True
    assert ask(drifted(), evidence_of(drift=findings(0.0, None))) is False
    assert ask(drifted(0.5), evidence_of(drift=findings(0.2, 0.0))) is True
    assert ask(drifted(0.6), evidence_of(drift=findings(0.2, 0.0))) is False
    assert ask(drifted(0.5), evidence_of(drift=findings(0.2, None, None))) is False
    assert ask(drifted(0.5), evidence_of(drift=findings(None))) is None
    assert ask(drifted(), evidence_of(drift=findings(None))) is None
    assert ask(drifted(), evidence_of()) is None


def test_worse_asks_for_the_whole_interval_past_the_gate_value(evidence_of, performed) -> None:
    assert ask(worse("5%"), evidence_of(performance=performed(0.1051, 0.12))) is True
    assert ask(worse("5%"), evidence_of(performance=performed(0.1049, 0.12))) is False
    higher = ChampionFacts(1, 1, "d1", 0.8, evidence_of().as_of)
    auc = evidence_of(champion=higher, performance=performed(0.70, 0.75, metric="auc"))
    assert (ask(worse("5%"), auc), ask(worse("7%"), auc)) == (True, False)


def test_worse_than_a_gate_value_below_zero_lies_further_below(evidence_of, performed) -> None:
    champion = ChampionFacts(1, 1, "d1", -0.5, evidence_of().as_of)
    above, below = (performed(low, high, metric="r2") for low, high in ((-0.51, -0.49), (-0.6, -0.53)))

    assert ask(worse("5%"), evidence_of(champion=champion, performance=above)) is False
    assert ask(worse("5%"), evidence_of(champion=champion, performance=below)) is True


def test_worse_is_unknown_without_a_champion_an_estimate_or_enough_labels(evidence_of, performed) -> None:
    bad = performed(0.5, 0.6, labels=499)
    assert ask(worse("5%"), evidence_of(performance=bad)) is None
    assert ask(worse("5%"), evidence_of(performance=bad), min_labels=499) is True
    assert ask(worse("5%"), evidence_of(champion=None, performance=bad)) is None
    assert ask(worse("5%"), evidence_of()) is None


def test_too_few_labels_hold_and_say_so(evidence_of, performed) -> None:
    action = Policy(every="7d", retrain=worse("2%")).decide(evidence_of(performance=performed(0.5, 0.6, labels=9)))

    assert action == Hold("too few labels: 9 of 500")


def test_enough_labels_in_too_few_blocks_are_too_few_as_well(evidence_of, performed) -> None:
    seen = replace(performed(0.5, 0.6, labels=800), estimate=None)

    action = Policy(every="7d", retrain=worse("2%")).decide(evidence_of(performance=seen))

    assert action == Hold("too few labels: 800 allow no interval by independent blocks")


def test_older_counts_from_the_newest_label(evidence_of) -> None:
    assert ask(older("29d"), evidence_of()) is True
    assert ask(older("30d"), evidence_of()) is False
    assert ask(older("30d"), evidence_of(champion=None)) is None


def test_elapsed_counts_from_the_last_training(evidence_of, noon) -> None:
    assert ask(Elapsed(30 * DAY), evidence_of(last_training=noon - 30 * DAY)) is True
    assert ask(Elapsed(30 * DAY), evidence_of(last_training=noon - 29 * DAY)) is False
    assert ask(Elapsed(30 * DAY), evidence_of()) is None


def test_for_asks_for_windows_running_under_one_champion(evidence_of, findings) -> None:
    bad, good = evidence_of(drift=findings(0.9)), evidence_of(drift=findings(0.0))
    other = evidence_of(drift=findings(0.9), champion=ChampionFacts(9, 9, "d9", 0.1, bad.as_of))
    twice = drifted().for_(2)

    assert ask(twice, bad) is False
    assert ask(twice, bad, [bad]) is True
    assert ask(twice, bad, [good, bad]) is False
    assert ask(twice, bad, [other]) is False
    assert ask(twice, good, [bad, bad]) is False
    assert ask(drifted().for_(3), bad, [bad, bad]) is True
    assert ask(drifted().for_(1), bad) is True
    assert ask(twice, evidence_of(), [bad]) is None


def test_without_a_champion_the_first_one_is_trained(evidence_of) -> None:
    assert Policy(every="7d").decide(evidence_of(champion=None)) == Retrain("no champion yet")


def test_a_refused_batch_holds_whatever_the_policy_asks(evidence_of, noon) -> None:
    refused = IngestFacts("flights", 0, 0, "d", stopped="arr_delay is -900")
    policy = Policy(every="7d", retrain=Says(True), rollback=Says(True))

    assert policy.decide(evidence_of(ingested=(refused,))) == Hold("flights was refused: arr_delay is -900")
    assert isinstance(policy.decide(evidence_of(champion=None, ingested=(refused,))), Hold)


def test_a_training_cools_down(evidence_of, noon) -> None:
    policy = Policy(every="7d", retrain=Says(True))

    recent = policy.decide(evidence_of(last_training=noon - 6 * DAY))
    assert recent == Hold("True; cooling down until 2013-06-02T12:00:00Z")
    assert policy.decide(evidence_of(last_training=noon - 7 * DAY)) == Retrain("True")
    assert isinstance(policy.decide(evidence_of(last_training=noon - 7 * DAY, label_delay_p95=5 * DAY)), Hold)


def test_a_declared_cooldown_that_is_too_short_names_the_delay() -> None:
    policy = Policy(every="7d", cooldown="9d")

    assert policy.cooldown_after(6 * DAY) == 9 * DAY
    with pytest.raises(CooldownTooShortError, match=r"95 % of the labels take up to 7 days.*at least 10 days"):
        policy.cooldown_after(7 * DAY)


def test_rollback_compares_with_the_previous_champion_on_the_same_rows(evidence_of, compared) -> None:
    policy = Policy(every="7d", rollback=worse("5%"))

    assert policy.decide(evidence_of(against_previous=compared(0.0051, 0.01))).to_version == 3
    for harmless in (compared(0.0049, 0.01), compared(0.05, 0.06, rows=499), None):
        assert isinstance(policy.decide(evidence_of(against_previous=harmless)), Hold)
    assert isinstance(Policy(every="7d").decide(evidence_of(against_previous=compared(0.5, 0.6))), Hold)


def test_rollback_comes_before_retraining(evidence_of, compared) -> None:
    policy = Policy(every="7d", retrain=Says(True), rollback=worse("5%"))

    assert isinstance(policy.decide(evidence_of(against_previous=compared(0.01, 0.02))), Rollback)


@given(st.lists(st.sampled_from([False, None]), min_size=1, max_size=4))
def test_what_is_unknown_never_starts_anything(given_answers) -> None:
    from lifecycle.evidence import Evidence
    from lifecycle.moments import Window, parse_moment

    as_of = parse_moment("2013-06-01T00:00Z")
    champion = ChampionFacts(1, 1, "d", 0.1, as_of)
    evidence = Evidence("m", as_of, Window.before(as_of, DAY), champion=champion)
    condition = Says(given_answers[0])
    for answer in given_answers[1:]:
        condition = condition | Says(answer)

    action = Policy(every="7d", retrain=condition & Says(None) | condition, rollback=Says(None)).decide(evidence)

    assert isinstance(action, Hold)


def test_a_challenger_is_promoted_when_every_gate_says_so(evidence_of, challenger) -> None:
    action = Policy(every="7d").decide(evidence_of(challenger=challenger(True, True)))

    assert isinstance(action, Promote)
    assert action.version == 2


@given(st.lists(st.booleans(), min_size=1, max_size=6).filter(lambda passed: not all(passed)))
def test_one_refusal_is_enough(passed) -> None:
    from lifecycle.evidence import ChallengerFacts, Evidence, Verdict
    from lifecycle.moments import Window, parse_moment

    as_of = parse_moment("2013-06-01T00:00Z")
    facts = ChallengerFacts(2, "d", "all", None, tuple(Verdict(str(n), yes, "") for n, yes in enumerate(passed)))
    evidence = Evidence("m", as_of, Window.before(as_of, DAY), challenger=facts)

    action = Policy(every="7d").decide(evidence)

    assert isinstance(action, Hold)
    assert "refused" in action.reason


def test_a_challenger_without_verdicts_or_of_another_epoch_is_not_promoted(evidence_of, challenger) -> None:
    policy = Policy(every="7d")

    none_run = policy.decide(evidence_of(challenger=challenger()))
    assert none_run == Hold("challenger 2 (all history) passed no gate: none was run")
    for stale in (challenger(True, against=0), challenger(True, against=2), challenger(True, against=None)):
        assert "no longer the champion" in policy.decide(evidence_of(challenger=stale)).reason
    first = evidence_of(champion=None, challenger=challenger(True, against=None))
    assert isinstance(policy.decide(first), Promote)
    assert isinstance(policy.decide(evidence_of(champion=None, challenger=challenger(True, against=1))), Hold)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Policy(every="0d"), r"Policy.every is '0:00:00'. Give a time above zero"),
        (lambda: Policy(every="7d", min_labels=0), "Policy.min_labels is 0. Give a whole number of rows, 1 or more"),
        (lambda: Policy(every="7d", retrain="worse"), r"Policy.retrain is 'worse'. Join worse"),
        (lambda: Policy(every="7d", rollback=True), r"Policy.rollback is True. Join worse"),
        (lambda: worse("2"), r"worse\(...\) is '2'. Write a percentage"),
        (lambda: worse(2), r"worse\(...\) is 2. Give a share below 1"),
        (lambda: worse(None), r"worse\(...\) is None. Give a share below 1"),
        (lambda: Policy(every="7d", retrain=None), r"Policy.retrain is None. Join worse"),
        (
            lambda: Policy(every="7d", quarantine="much"),
            "Policy.quarantine is 'much'. Give a share above 0",
        ),
        (lambda: Policy(every="7d", quarantine=1.0), "Policy.quarantine is 1.0. Give a share above 0 and below 1"),
        (lambda: Policy(every="7d", quarantine=True), "Policy.quarantine is True. Give a share above 0 and below 1"),
        (lambda: Policy(every="7d", min_labels="many"), "Policy.min_labels is 'many'. Give a whole number"),
        (lambda: drifted("50%"), r"drifted\(share\) is '50%'. Give a share above 0"),
        (lambda: drifted().for_("2"), r".for_\(windows\) is '2'. Give a whole number"),
        (lambda: drifted(0), r"drifted\(share\) is 0. Give a share above 0"),
        (lambda: drifted(1.1), r"drifted\(share\) is 1.1. Give a share above 0"),
        (lambda: drifted().for_(0), r".for_\(windows\) is 0. Give a whole number of windows"),
    ],
)
def test_a_policy_that_contradicts_itself_says_where_and_what_to_do(make, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        make()


def test_lengths_of_time_are_checked_when_the_policy_is_made() -> None:
    with pytest.raises(SpanError):
        Policy(every="weekly")
    with pytest.raises(SpanError):
        older("two months")
    assert Policy(every="7d").cooldown_after(None) == 7 * DAY


@pytest.mark.parametrize("given", ["0.1%", 0.001])
def test_the_share_that_is_set_aside_is_a_percentage_or_a_number_and_is_told(given: str | float) -> None:
    policy = Policy(every="7d", quarantine=given)

    assert policy.quarantine == 0.001
    assert str(policy).endswith(", quarantine=0.100%")
