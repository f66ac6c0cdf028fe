"""Rows beyond the reference, and clients that feel for the model's boundaries."""

import numpy as np
import pandas as pd
import pytest

from monitoring.clients import odd_clients
from monitoring.outliers import Extremes, outlier_facts
from monitoring.segments import segments


def planted(window, *, rows=100, **values):
    current = window(2000, seed=1)
    for name, value in values.items():
        current.loc[: rows - 1, name] = value
    return current


@pytest.mark.parametrize(
    "values", [{"distance": 20_000.0}, {"distance": -5000.0}, {"delay": 1e9}, {"delay": 80.0, "distance": 2100.0}]
)
def test_planted_extremes_are_found_and_their_column_is_named(window, values):
    extremes = Extremes.of(window(4000))
    current = planted(window, **values)

    scores = extremes.score(current)
    facts = outlier_facts(extremes, current)

    assert (scores[:100] > extremes.limit()).all()
    assert (scores[100:] > extremes.limit()).mean() < 0.03
    assert set(facts.columns) & set(values)
    assert facts.share > 0.05
    assert all(any(f"{name}=" in reason for name in values) for reason in extremes.reasons(current.iloc[:100]))


def test_a_category_never_seen_is_more_surprising_than_a_null_that_is_usual_and_than_any_known_one(window):
    reference = window(4000)
    reference.loc[:2000, "carrier"] = None
    asked = window(3).assign(carrier=["XX", None, "DL"])

    new, null, known = Extremes.of(reference).surprises(asked)[:, list(asked.columns).index("carrier")]

    assert new == pytest.approx(np.log(4001))
    assert null == pytest.approx(-np.log(reference["carrier"].isna().mean()))
    assert null < known < new


def test_performance_inside_the_extremes_is_a_slice_of_its_own(window):
    extremes = Extremes.of(window(4000))
    current = planted(window, rows=200, distance=20_000.0)
    generator = np.random.default_rng(0)
    losses = generator.exponential(0.1, 2000) + 0.2 * (np.arange(2000) < 200)
    beyond = np.where(extremes.score(current) > extremes.limit(), "yes", "no")

    found = segments(current.assign(extreme=beyond), losses, np.arange(2000) % 10, metric="brier", declared=["extreme"])

    told = {one.segment: one for one in found if one.declared}
    assert told["extreme=yes"].weak
    assert told["extreme=yes"].inside.value == pytest.approx(0.3, abs=0.04)
    assert not told["extreme=no"].weak


def test_an_ordinary_window_holds_as_many_extreme_rows_as_expected(window):
    extremes = Extremes.of(window(5000))

    shares = [outlier_facts(extremes, window(5000, seed=seed)).share for seed in range(1, 6)]

    assert np.mean(shares) == pytest.approx(0.01, abs=0.005)


ODD = {
    "no rows": lambda frame: frame.iloc[:0],
    "one row": lambda frame: frame.iloc[:1],
    "all null": lambda frame: frame.assign(**dict.fromkeys(frame.columns, None)),
    "a column gone": lambda frame: frame.drop(columns="delay"),
    "infinite": lambda frame: frame.assign(delay=-np.inf),
    "texts where numbers were": lambda frame: frame.assign(delay="late"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_odd_windows_have_finite_scores(window, change):
    extremes = Extremes.of(window(1000))
    current = change(window(200, seed=1))

    facts = outlier_facts(extremes, current)

    assert np.isfinite(extremes.score(current)).all()
    assert facts.rows == len(current)
    assert facts.note == ("" if len(current) else "no rows")


def test_a_reference_of_one_value_makes_another_value_extreme(window):
    frame = window(1000).assign(distance=7.0)
    extremes = Extremes.of(frame)

    assert (extremes.score(frame.assign(distance=8.0)) > extremes.limit()).mean() > 0.9
    assert (extremes.score(frame) > extremes.limit()).mean() <= 0.02


def requests(rows=3000, clients=20, seed=0):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(rows, 4)), columns=list("abcd"))
    return frame.assign(
        kind=generator.choice(["x", "y"], rows), client=generator.choice([f"c{k}" for k in range(clients)], rows)
    )


FEATURES = ["a", "b", "c", "d", "kind"]


def test_a_client_that_walks_along_one_column_is_found():
    honest = requests()
    walk = pd.concat([honest.iloc[[0]]] * 200, ignore_index=True).assign(client="prober", b=np.linspace(-2, 2, 200))

    (found,) = odd_clients(pd.concat([honest, walk]), FEATURES, client="client")

    assert (found.client, found.requests) == ("prober", 200)
    assert found.probing > 0.9
    assert found.usual < 0.05


def test_a_client_that_repeats_itself_is_found():
    honest = requests()
    echo = honest.iloc[np.tile([3, 5, 9], 40)].assign(client="echo")

    (found,) = odd_clients(pd.concat([honest, echo]), FEATURES, client="client")

    assert found.client == "echo"
    assert found.repeated > 0.9


def test_honest_clients_are_left_alone():
    assert [odd_clients(requests(seed=seed), FEATURES, client="client") for seed in range(20)] == [()] * 20


@pytest.mark.parametrize("frame", [requests(0), requests(1), requests(50).assign(client=None)])
def test_without_requests_or_names_nobody_stands_out(frame):
    assert odd_clients(frame, FEATURES, client="client") == ()
