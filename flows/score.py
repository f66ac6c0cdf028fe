"""Score: the champion's predictions for one window, written once, with the features it saw."""

from __future__ import annotations

import numpy as np
import polars as pl
from prefect import flow

from feature_store.definitions.feature_view import feature_names
from feature_store.digest import row_digests
from feature_store.offline.features import features
from feature_store.offline.questions import questions
from flows.evidence import answering_champion
from flows.frames import key_names, model_input, predictions_table, question_columns, stored_name
from flows.results import Result
from flows.steps import Step, carry_out, run_name
from flows.tasks import task
from flows.wiring import Reign
from lifecycle.moments import Window, iso
from lifecycle.requests import batch_id


@flow(name="score", flow_run_name=run_name)
def score(model: str, as_of: str | None = None) -> Result:
    """Predict the questions of the window that ends at `as_of` with the champion.

    Raises:
        NoChampionError: nothing was promoted yet.
        FeatureGoneError: the champion takes a feature that the model file has no more.
    """
    return carry_out("score", model, as_of, _score)


def _score(step: Step) -> Result:
    champion = answering_champion(step.loop, step.model)
    window = Window.before(step.as_of, step.loop.policy_of(step.model).every)
    frame = predict_window(step, champion, window)
    batch = batch_id(step.model.name, champion.epoch.version, window.start, window.end)
    if frame.height:
        given = [stored_name(name) for name in feature_names(step.model.features)]  # a model file may grow features
        step.loop.lake.append(predictions_table(step.model.name), frame, batch=batch, allow_new=given)
    answers = answered(step)  # what is stored, so that a try after a kill tells the same
    mean = {"mean_prediction": float(np.mean(answers))} if len(answers) else {}
    step.run.metrics({"rows": float(len(answers)), **mean})
    facts = {"rows": len(answers), "version": champion.epoch.version, **mean}
    return Result("score", step.model.name, iso(step.as_of), facts)


@task("predict")
def predict_window(step: Step, champion: Reign, window: Window) -> pl.DataFrame:
    """One row a question asked in the window: key, features, prediction, and who answered when."""
    model, loop = step.model, step.loop
    asked = unanswered(step, questions(model.spine, loop.lake, window.start, window.end))
    seen = features(model.features, asked, loop.lake, spine=model.spine)
    x = model_input(seen, model)
    answers = champion.loaded.predict(x) if x.shape[0] else np.empty(0)
    identity = [*question_columns(model), "as_of"]
    asked_of = seen.select(*identity).with_columns(version=pl.lit(champion.epoch.version, dtype=pl.Int64))
    given = [pl.col(name).alias(stored_name(name)) for name in x.columns]
    return seen.select(*identity, *given).with_columns(
        prediction_id=row_digests(asked_of).cast(pl.String),
        prediction=pl.Series(answers, dtype=pl.Float64),
        model=pl.lit(model.name),
        version=pl.lit(champion.epoch.version, dtype=pl.Int64),
        epoch=pl.lit(champion.epoch.epoch, dtype=pl.Int64),
        served_at=pl.lit(step.as_of).cast(pl.Datetime("us", "UTC")),
        variant=pl.lit("champion"),
        origin=pl.lit("batch"),
    )


def unanswered(step: Step, asked: pl.DataFrame) -> pl.DataFrame:
    """The questions that no earlier batch has answered: windows may overlap, answers do not."""
    table = predictions_table(step.model.name)
    if not step.loop.lake.exists(table):
        return asked
    key = [*key_names(step.model), "as_of"]
    return asked.join(step.loop.lake.read(table, columns=key), on=key, how="anti", maintain_order="left")


def answered(step: Step) -> np.ndarray:
    """The predictions that were served at this moment."""
    table = predictions_table(step.model.name)
    if not step.loop.lake.exists(table):
        return np.empty(0)
    stored = step.loop.lake.read(table, columns=["served_at", "prediction"])
    return stored.filter(pl.col("served_at") == step.as_of)["prediction"].to_numpy()
