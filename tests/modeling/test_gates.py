from dataclasses import replace

import numpy as np
import pytest

from lifecycle.gates import Gate
from modeling.calibration import expected_calibration_error
from modeling.gates import integrity, judge, latency
from modeling.training import EvaluationRows

NAMES = ["bound", "beats the trivial rule", "paired test", "calibration", "slices", "fairness"]
DAYS, PER_DAY = 28, 200


def rows(*, champion_noise=0.25, challenger_noise=0.0, seed=0):
    """Four weeks of answers; noise makes a model worse."""
    generator = np.random.default_rng(seed)
    size = DAYS * PER_DAY
    truth = generator.beta(1, 2, size)
    y = (generator.random(size) < truth).astype(float)

    def noisy(amount):
        return np.clip(truth + generator.normal(0, 1, size) * amount, 0.001, 0.999)

    return EvaluationRows(
        y=y,
        challenger=noisy(challenger_noise),
        champion=noisy(champion_noise),
        trivial=np.full(size, y.mean()),
        blocks=np.repeat(np.arange(DAYS), PER_DAY),
    )


def verdict(name, verdicts):
    return next(one for one in verdicts if one.gate == name)


def test_a_better_challenger_passes_every_gate_in_order():
    origin = np.resize(["EWR", "JFK", "LGA"], DAYS * PER_DAY)

    gate = Gate("brier", at_most=0.2, slices=["origin"], groups=["origin"])
    verdicts = judge(gate, rows(), {"origin": origin}, alternatives=2, seed=1)

    assert [one.gate for one in verdicts] == NAMES
    assert [one.text for one in verdicts if not one.passed] == []


@pytest.mark.parametrize("metric", ["brier", "log_loss", "auc", "accuracy"])
def test_the_same_holds_whichever_way_the_metric_points(metric):
    assert all(one.passed for one in judge(Gate(metric), rows()))


def test_a_worse_challenger_fails_the_paired_test_whatever_its_bound():
    verdicts = judge(Gate("brier", at_most=0.9), rows(champion_noise=0, challenger_noise=0.25))

    assert verdict("bound", verdicts).passed
    assert not verdict("paired test", verdicts).passed
    assert verdict("paired test", verdicts).estimate.high < 0


def test_numbers_that_happen_to_be_0_and_1_are_no_probabilities():
    numbers = rows(champion_noise=0.5)
    counted = replace(numbers, challenger=numbers.y + 0.01, champion=numbers.y + 0.5)

    verdicts = judge(Gate("mae"), counted)

    assert verdict("calibration", verdicts).text == "not a probability, so not checked"
    assert all(one.passed for one in verdicts)


def test_an_equal_challenger_stays_out():
    both = rows(champion_noise=0.1, challenger_noise=0.1, seed=1)

    assert not verdict("paired test", judge(Gate("brier"), both)).passed


def test_the_test_is_stricter_the_more_candidates_there_were():
    lows = [verdict("paired test", judge(Gate("brier"), rows(), alternatives=k)).estimate.low for k in (1, 2, 5)]

    assert lows == sorted(lows, reverse=True)
    assert verdict("paired test", judge(Gate("brier"), rows(), alternatives=2)).text.endswith(
        "over the champion, best of 2"
    )


def test_under_no_difference_about_one_in_twenty_challengers_passes_the_paired_test():
    passed = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        day = np.repeat(np.arange(14), 30)
        shock = generator.normal(0, 0.1, 14)[day]
        y = generator.normal(size=day.size)
        judged = EvaluationRows(
            y, y + generator.normal(1, 0.1, day.size) + shock, y + generator.normal(1, 0.1, day.size), y + 9, day
        )
        passed += verdict("paired test", judge(Gate("mae"), judged, seed=seed)).passed

    assert 2 <= passed <= 20


def test_without_a_champion_there_is_nothing_to_be_better_than():
    verdicts = judge(Gate("brier"), replace(rows(), champion=None))

    assert verdict("paired test", verdicts).text == "no champion yet"
    assert all(one.passed for one in verdicts)


def test_a_challenger_that_knows_nothing_does_not_beat_the_trivial_rule():
    known = rows()
    nothing = replace(known, challenger=known.trivial, champion=None)

    found = verdict("beats the trivial rule", judge(Gate("brier"), nothing))

    assert not found.passed
    assert found.text == "brier gains 0.0000 [0.0000, 0.0000] on 5600 rows in 28 blocks over the trivial rule"


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        (Gate("brier", at_most=0.5), True),
        (Gate("brier", at_most=0.01), False),
        (Gate("auc", at_least=0.5), True),
        (Gate("auc", at_least=0.99), False),
        (Gate("auc"), True),
    ],
)
def test_the_bound_is_on_the_value_itself(gate, passed):
    found = verdict("bound", judge(gate, rows()))

    assert found.passed is passed
    assert f"{gate.metric} {found.estimate}" in found.text


def test_better_ranked_but_badly_calibrated_probabilities_are_refused():
    known = rows(champion_noise=0.05)
    pushed = replace(known, challenger=np.sqrt(known.challenger))

    found = verdict("calibration", judge(Gate("auc"), pushed))

    assert not found.passed
    assert f"calibration error {expected_calibration_error(pushed.y, pushed.challenger):.4f} against" in found.text


def test_a_number_is_not_calibrated():
    known = rows()
    numbers = replace(known, y=known.y * 3.5)

    assert verdict("calibration", judge(Gate("mae"), numbers)).text == "not a probability, so not checked"


def slice_verdict(judged, origin, margin=0.05):
    return verdict("slices", judge(Gate("brier", slices=["origin"], margin=margin), judged, {"origin": origin}))


def test_a_slice_that_is_clearly_worse_is_refused_by_name():
    judged = rows(champion_noise=0.1)
    origin = np.resize(["EWR", "JFK", "LGA", "SWF"], judged.y.size)
    harmed = np.where(origin == "SWF", 1 - judged.y, judged.challenger)

    found = slice_verdict(replace(judged, challenger=harmed), origin)

    assert not found.passed
    assert found.text.startswith("origin=SWF worse by ")


def test_noise_on_a_hundred_small_slices_refuses_no_equal_challenger():
    refused = 0
    for seed in range(10):
        judged = rows(champion_noise=0.1, challenger_noise=0.1, seed=seed)
        dest = np.random.default_rng(seed).integers(40, size=judged.y.size).astype(str)
        refused += not slice_verdict(judged, dest, margin=0.02).passed

    assert refused == 0


def test_slices_too_small_to_judge_are_counted():
    judged = rows()
    origin = np.where(np.arange(judged.y.size) < 50, "tiny", "large")

    assert slice_verdict(judged, origin).text == "1 of 1 not worse than 5%, 1 too small to judge"


def test_null_is_a_slice_of_its_own():
    judged = rows(champion_noise=0.1)
    origin = np.resize(np.array(["EWR", None], dtype=object), judged.y.size)
    harmed = np.where([value is None for value in origin], 1 - judged.y, judged.challenger)

    assert slice_verdict(replace(judged, challenger=harmed), origin).text.startswith("origin=null worse by ")


def test_numbers_with_gaps_can_be_slices():
    judged = rows()
    seats = np.resize([100.0, np.nan], judged.y.size)

    assert slice_verdict(judged, seats).text == "2 of 2 not worse than 5%"


def test_a_slice_column_that_is_not_there_is_a_no():
    found = verdict("slices", judge(Gate("brier", slices=["origin"]), rows()))

    assert (found.passed, found.text) == (False, "could not be checked: no values of ['origin']")


def fairness(judged, carrier, metric="brier", margin=0.05):
    return verdict("fairness", judge(Gate(metric, groups=["carrier"], margin=margin), judged, {"carrier": carrier}))


def test_a_challenger_that_says_yes_to_one_group_less_often_is_refused_by_column_and_rate():
    judged = rows(champion_noise=0.05)
    carrier = np.resize(["AA", "UA", "DL"], judged.y.size)
    harsh = np.where(carrier == "UA", judged.challenger - 0.2, judged.challenger).clip(0.001, 0.999)

    found = fairness(replace(judged, challenger=harsh), carrier)

    assert not found.passed
    assert "gap of carrier: share of yes answers wider by " in found.text
    assert found.estimate.low > 0.05


def test_a_challenger_that_closes_a_gap_passes():
    judged = rows(champion_noise=0.0)
    carrier = np.resize(["AA", "UA"], judged.y.size)
    harsh = np.where(carrier == "UA", judged.champion - 0.2, judged.champion).clip(0.001, 0.999)

    assert fairness(replace(judged, champion=harsh), carrier).text == "4 of 4 gaps not wider by 0.05"


def test_chance_among_many_groups_refuses_no_equal_challenger():
    refused = 0
    for seed in range(10):
        judged = rows(champion_noise=0.1, challenger_noise=0.1, seed=seed)
        carrier = np.random.default_rng(seed).integers(20, size=judged.y.size).astype(str)
        refused += not fairness(judged, carrier, margin=0.02).passed

    assert refused == 0


def test_groups_too_small_to_compare_are_a_no():
    judged = rows()
    carrier = np.where(np.arange(judged.y.size) < 50, "tiny", "large")

    found = fairness(judged, carrier)

    assert (found.passed, found.text) == (
        False,
        "could not be checked: fewer than two groups of ['carrier'] have 100 rows",
    )


def test_numbers_are_compared_by_how_far_they_lie_off_on_average():
    judged = rows(champion_noise=0.05)
    carrier = np.resize(["AA", "UA"], judged.y.size)
    amounts = replace(judged, y=judged.y * 100, champion=judged.champion * 100, challenger=judged.challenger * 100)
    low = replace(amounts, challenger=np.where(carrier == "UA", amounts.challenger - 10, amounts.challenger))

    assert fairness(amounts, carrier, metric="mae").passed
    assert fairness(low, carrier, metric="mae").text.startswith("gap of carrier: answer minus outcome wider by ")


def test_fairness_is_the_same_in_any_order_of_rows():
    judged = rows(champion_noise=0.1, challenger_noise=0.1)
    carrier = np.random.default_rng(0).choice(["AA", "UA", "DL"], judged.y.size)
    order = np.random.default_rng(1).permutation(judged.y.size)
    names = ("y", "challenger", "champion", "trivial", "blocks")
    shuffled = replace(judged, **{name: getattr(judged, name)[order] for name in names})

    assert fairness(judged, carrier, margin=0.0) == fairness(shuffled, carrier[order], margin=0.0)


def test_without_a_champion_or_a_column_fairness_says_so():
    judged = rows()
    carrier = np.resize(["AA", "UA"], judged.y.size)

    assert fairness(replace(judged, champion=None), carrier).text == "no champion yet"
    absent = verdict("fairness", judge(Gate("brier", groups=["carrier"]), judged))
    assert (absent.passed, absent.text) == (False, "could not be checked: no values of ['carrier']")


def test_a_check_that_errors_is_a_check_that_failed():
    broken = replace(rows(), challenger=np.full(DAYS * PER_DAY, np.nan))

    verdicts = judge(Gate("brier"), broken)

    assert not any(one.passed for one in verdicts[:4])
    assert verdicts[0].text.startswith(
        "could not be checked: These predictions cannot be judged by brier: 5600 of 5600"
    )


def test_too_few_days_fail_closed():
    few = rows()
    few = replace(few, blocks=few.blocks % 5)

    assert "5 independent blocks" in verdict("paired test", judge(Gate("brier"), few)).text
    assert not verdict("paired test", judge(Gate("brier"), few)).passed


def test_the_same_seed_gives_the_same_verdicts():
    assert judge(Gate("auc"), rows(), seed=3) == judge(Gate("auc"), rows(), seed=3)


def test_integrity_needs_something_that_was_checked():
    assert integrity([], ["signature", "digest"]).text == "signature, digest"
    assert integrity([], ["signature", "digest"]).passed
    assert not integrity(["digest differs"], ["digest"]).passed
    assert not integrity([], []).passed


def test_latency_is_held_against_the_declared_limit():
    assert latency(12.0, Gate("brier", p99=20)).passed
    assert latency(32.0, Gate("brier", p99=20)).text == "p99 32.00 ms, at most 20 ms"
    assert not latency(32.0, Gate("brier", p99=20)).passed
    assert not latency(float("nan"), Gate("brier", p99=20)).passed
    assert latency(32.0, Gate("brier")).passed
