import os

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from modeling import pipeline
from modeling.digests import golden_answers, golden_rows, model_digest, state_digest
from modeling.errors import UnreadableModelError, UntrustedTypeError
from modeling.export import load, save
from modeling.pipeline import prepare

ENCODER = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
ESTIMATORS = [
    HistGradientBoostingClassifier(max_iter=3),
    HistGradientBoostingRegressor(max_iter=3),
    RandomForestClassifier(n_estimators=3),
    ExtraTreesClassifier(n_estimators=3),
    make_pipeline(ENCODER, SimpleImputer(), GradientBoostingClassifier(n_estimators=3)),
    make_pipeline(ENCODER, SimpleImputer(), StandardScaler(), LogisticRegression()),
    make_pipeline(ENCODER, SimpleImputer(), Ridge()),
    CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=3), cv=2),
    CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=3), method="isotonic", cv=2),
]


@pytest.fixture
def X(training_set):
    return prepare(training_set.X.iloc[:400])


@pytest.fixture
def y(training_set):
    return training_set.y[:400]


def fitted(estimator, X, y, seed=1):
    return pipeline.fitted(estimator, X, y, seed=seed)


def name_of(estimator):
    return type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_a_model_that_is_read_back_answers_the_same_and_has_the_same_digest(estimator, X, y, tmp_path):
    model = fitted(estimator, X, y)
    golden = golden_rows(X)

    again = load(save(model, tmp_path / "model.skops"))

    assert golden_answers(again, golden).tobytes() == golden_answers(model, golden).tobytes()
    assert model_digest(again, golden) == model_digest(model, golden)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_fitting_again_with_the_same_seed_gives_the_same_digest(estimator, X, y):
    golden = golden_rows(X)

    assert model_digest(fitted(estimator, X, y), golden) == model_digest(fitted(estimator, X, y), golden)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_one_other_label_gives_another_digest(estimator, X, y):
    golden = golden_rows(X)
    changed = np.where(np.arange(y.size) < 20, 1 - y, y)

    assert model_digest(fitted(estimator, X, changed), golden) != model_digest(fitted(estimator, X, y), golden)


def test_a_change_inside_that_no_golden_row_shows_changes_the_digest(X, y):
    model = fitted(HistGradientBoostingClassifier(max_iter=3), X, y)
    golden = golden_rows(X)
    before, answers = model_digest(model, golden), golden_answers(model, golden)

    model[-1]._predictors[0][0].nodes["gain"][0] += 1

    assert golden_answers(model, golden).tobytes() == answers.tobytes()
    assert model_digest(model, golden) != before


def test_a_type_nobody_vouched_for_is_refused_with_the_setting_that_would(X, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(os.system), path)

    with pytest.raises(UntrustedTypeError, match=r"posix\.system.*nothing was loaded.*trusted_types") as caught:
        load(path)

    assert caught.value.types == ["posix.system"]


def test_the_operator_can_vouch_for_a_type(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(os.path.basename), path)

    assert load(path, extra_types=["posixpath.basename"]).func is os.path.basename


def no_file(path):
    path.unlink()


def no_archive(path):
    path.write_bytes(b"not a model")


def half_of_it(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [no_file, no_archive, half_of_it])
def test_a_damaged_file_is_refused(damage, X, y, tmp_path):
    path = save(fitted(HistGradientBoostingClassifier(max_iter=2), X, y), tmp_path / "model.skops")
    damage(path)

    with pytest.raises(UnreadableModelError, match=r"model\.skops cannot be read as a model"):
        load(path)


def test_an_array_cut_short_is_refused(X, y, tmp_path):
    import zipfile

    path = save(fitted(HistGradientBoostingClassifier(max_iter=2), X, y), tmp_path / "model.skops")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    array = next(name for name in content if name.endswith(".npy"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data[:-8] if name == array else data)

    with pytest.raises(UnreadableModelError):
        load(path)


def test_golden_rows_are_the_same_each_time_and_hold_a_null_where_there_is_one():
    X = pd.DataFrame({"x": np.arange(1000.0)})
    X.loc[777, "x"] = np.nan

    first, second = golden_rows(X, seed=3), golden_rows(X, seed=3)

    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 32
    assert first["x"].isna().sum() == 1


def test_golden_rows_of_a_small_frame_are_all_of_it():
    assert golden_rows(pd.DataFrame({"x": [1.0, 2.0]}))["x"].tolist() == [1.0, 2.0]


def test_padding_between_the_fields_of_a_record_is_no_content():
    layout = np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 16})
    one, other = np.zeros(2, layout), np.zeros(2, layout)
    other.view("u1")[1] = 255

    assert one.tobytes() != other.tobytes()
    assert state_digest(one) == state_digest(other)


def test_an_object_that_refers_to_itself_has_a_digest():
    loop: list[object] = [1]
    loop.append(loop)

    assert len(state_digest(loop)) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), (1.0, 1), ("1", 1), ([[1], 2], [[1, 2]]), (None, False), (0.0, -0.0)],
)
def test_different_values_have_different_digests(one, other):
    assert state_digest(one) != state_digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [(np.float64(0.5), 0.5), ((1, 2), [1, 2]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({3, 1}, {1, 3})]
)
def test_what_a_file_format_changes_without_meaning_has_the_same_digest(one, other):
    assert state_digest(one) == state_digest(other)


def test_the_digest_does_not_tell_how_many_threads_fitted_the_model() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(400, 3)), columns=list("abc"))
    y = (frame["a"] > 0).astype(float).to_numpy()
    digests = set()
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(frame, y)
        digests.add(model_digest(model, frame.head(8)))

    assert len(digests) == 1
