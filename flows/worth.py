"""What the champion's answers are worth: estimated without labels, reconciled with them, and looked at in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import StatisticsError
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from feature_store.offline.labels import KNOWN
from flows.evidence import watched
from flows.frames import block_numbers, key_names, predictions_table, stored_input
from flows.judging import calibration, interval, metric_value, row_losses
from flows.model import Model
from flows.steps import Step
from flows.tasks import task
from flows.wiring import Reign
from lifecycle.evidence import Evidence
from lifecycle.moments import Window
from lifecycle.worth import (
    AttributionDrift,
    Calibration,
    ClientFinding,
    EstimatedPerformance,
    FairnessGap,
    OutlierFacts,
    Reconciliation,
    Revision,
    SegmentFinding,
    Worth,
)
from modeling.attribution import attributions
from monitoring.attribution_drift import attribution_drift, changed_effects, models_apart
from monitoring.clients import odd_clients
from monitoring.estimation import Past, estimates, reconciled, stated
from monitoring.fairness import fairness_gaps
from monitoring.instruments import Instruments
from monitoring.labels import LabelledRows, LabelState, coverage
from monitoring.outliers import outlier_facts
from monitoring.performance import realised
from monitoring.segments import segments

EXTREME = "extreme"
"""Name of the slice of rows that lie beyond what the reference window holds."""

_METRICS = {"binary": ("auc", "accuracy", "brier", "log_loss"), "regression": ("mae", "rmse")}


def labelled(model: Model, rows: pl.DataFrame) -> LabelledRows | None:
    """The rows whose label is there, where both label and prediction are numbers; none where there is no row."""
    usable = pl.col("label").cast(pl.Float64).is_finite() & pl.col("prediction").is_finite()
    known = rows.filter(usable) if rows.height else rows
    if not known.height:
        return None
    return LabelledRows(
        features=stored_input(known, model),
        predictions=known["prediction"].to_numpy(),
        labels=known["label"].cast(pl.Float64).to_numpy(),
        blocks=block_numbers(known["as_of"], model.block).to_numpy(),
        binary=model.task == "binary",
    )


@task("measure worth")
def measure_worth(
    step: Step, champion: Reign, current: pl.DataFrame, asked: pl.DataFrame, earlier: Sequence[Evidence]
) -> Worth:
    """Everything but the champion's own attributions, which are made when a page is due.

    Args:
        current: the champion's predictions of the current window.
        asked: its predictions since the newest fully labelled window began, with the labels known by now.
        earlier: evidence of past windows, newest first.
    """
    model = step.model
    known = labelled(model, watched(model, asked, step.as_of))
    instruments = champion.instruments
    past = reconciled_under(champion, earlier)
    pairs = _reconciled(step, champion, asked, past)
    return Worth(
        estimated=stated(estimated(step, instruments, current), {**past, step.as_of: pairs}),
        reconciled=pairs,
        revised=revised(step, asked),
        calibration=calibrated(model, known),
        segments=weakest(model, known, instruments),
        fairness=gaps(model, known),
        outliers=_outliers(step, champion, current),
        clients=clients(step, current),
        attributions=(changed_effects(known, seed=model.seed),) if known is not None else (),
    )


@task("explain")
def explained(step: Step, champion: Reign, current: pl.DataFrame) -> AttributionDrift:
    """The champion's attributions on the window against those on its reference: what it leans on now."""
    names = [*champion.loaded.columns]
    usual = champion.reference.frame[names]
    features = stored_input(current, step.model)[names] if current.height else usual.iloc[:0]
    before, now = (
        attributions(champion.loaded.pipeline, rows, usual, champion.loaded.task, seed=step.model.seed)
        for rows in (usual, features)
    )
    return attribution_drift(before.columns, before.values, now.values)


def models_compared(step: Step, challenger: Any, rows: pd.DataFrame) -> AttributionDrift | None:
    """How differently champion and challenger read each column, on the rows both were judged on.

    None where there is no champion, or where the two take other columns or cannot be explained in the same units.
    """
    champion = step.loop.champion(step.model)
    if champion is None or list(champion.loaded.columns) != list(rows.columns):
        return None
    before, now = (
        attributions(model, rows, rows, champion.loaded.task, seed=step.model.seed)
        for model in (champion.loaded.pipeline, challenger)
    )
    return models_apart(before.columns, before.values, now.values) if before.unit == now.unit else None


def window_of(step: Step) -> Window:
    """The current window."""
    return Window.before(step.as_of, step.loop.policy_of(step.model).every)


def estimated(step: Step, instruments: Instruments | None, current: pl.DataFrame) -> tuple[EstimatedPerformance, ...]:
    """Every metric of the current window without its labels, with intervals of chance alone."""
    features = stored_input(current, step.model) if current.height else pd.DataFrame()
    predictions = current["prediction"].to_numpy() if current.height else np.empty(0)
    return estimates(instruments, features, predictions, window=window_of(step), task=step.model.task)


def reconciled_under(champion: Reign, earlier: Sequence[Evidence]) -> Past:
    """What was reconciled of the champion's version in earlier windows, by the moment it was recorded at."""
    return {
        one.as_of: one.worth.reconciled
        for one in earlier
        if one.worth and one.champion and one.champion.version == champion.epoch.version
    }


def _reconciled(step: Step, champion: Reign, asked: pl.DataFrame, past: Past) -> tuple[Reconciliation, ...]:
    """The newest fully labelled window, as long as those that are estimated: their errors are of one size."""
    model = step.model
    window = Window.before(step.as_of - model.wait, step.loop.policy_of(model).every)
    known = labelled(model, asked.filter(_inside(window)) if asked.height else asked)
    if known is None or champion.instruments is None:
        return ()
    found = estimates(champion.instruments, known.features, known.predictions, window=window, task=model.task)
    return reconciled(stated(found, past), realised_values(model, known), past)


def realised_values(model: Model, known: LabelledRows) -> Mapping[str, float]:
    """The metrics that the labelled rows define."""
    found = {}
    for metric in _METRICS[model.task]:
        try:
            found[metric] = metric_value(metric, known.labels, known.predictions)
        except StatisticsError:
            continue  # one class only, for auc: calibration says so in its note
    return found


def revised(step: Step, asked: pl.DataFrame) -> tuple[Revision, ...]:
    """Each window that was not fully labelled when it was current and is not yet now, oldest first."""
    model, every = step.model, step.loop.policy_of(step.model).every
    found = []
    for place in range(-(-model.wait // every) - 1, -1, -1):
        window = Window.before(step.as_of - place * every, every)
        rows = asked.filter(_inside(window)) if asked.height else asked
        if rows.height:
            found.append(_revision(model, rows, window))
    return tuple(found)


def _revision(model: Model, rows: pl.DataFrame, window: Window) -> Revision:
    arrived = coverage(rows["label_state"].replace(KNOWN, LabelState.LABELLED.value))
    blocks = block_numbers(rows["as_of"], model.block)
    frame = rows.select("prediction", pl.col("label").cast(pl.Float64), block=blocks).to_pandas()
    seen = realised(frame, metric=model.gate.metric, window=window, coverage=arrived, interval=interval(model))
    return Revision(seen.metric, window, seen.estimate, arrived, final=not arrived.waiting)


def _inside(window: Window) -> pl.Expr:
    return (pl.col("as_of") > window.start) & (pl.col("as_of") <= window.end)


def calibrated(model: Model, known: LabelledRows | None) -> Calibration | None:
    """Whether probabilities came true on the newest fully labelled window; none for a regression."""
    if model.task != "binary":
        return None
    if known is None:
        return Calibration(0, None, note="no label has arrived")
    return calibration(known.labels, known.predictions, known.blocks, seed=model.seed)


def weakest(model: Model, known: LabelledRows | None, instruments: Instruments | None) -> tuple[SegmentFinding, ...]:
    """Declared slices, the slice of extreme rows, and the weakest parts that a search finds."""
    if known is None:
        return ()
    features, declared = known.features, [*model.gate.slices]
    if instruments is not None and EXTREME not in features:
        extreme = instruments.extremes.score(features) > instruments.extremes.limit()
        features = features.assign(**{EXTREME: np.where(extreme, "yes", "no")})
        declared.append(EXTREME)
    name, losses = row_losses(model, known.labels, known.predictions)
    return segments(features, losses, known.blocks, metric=name, declared=declared)


def gaps(model: Model, known: LabelledRows | None) -> tuple[FairnessGap, ...]:
    """Gaps between the groups that the gate names."""
    if known is None:
        note = "no label has arrived"
        return tuple(FairnessGap(name, "every rate", "", "", None, note) for name in model.gate.groups)
    return tuple(gap for name in model.gate.groups for gap in fairness_gaps(known, name))


def _outliers(step: Step, champion: Reign, current: pl.DataFrame) -> OutlierFacts:
    if champion.instruments is None:
        return OutlierFacts(0, 0, 0.0, note="this version was registered without instruments; train again")
    if not current.height:
        return OutlierFacts(0, 0, 0.0, note="no predictions in the window")
    features = stored_input(current, step.model)
    extremes = champion.instruments.extremes
    aside = set_aside(step, champion, current, features)
    return outlier_facts(extremes, features, quarantined=aside)


def set_aside(step: Step, champion: Reign, current: pl.DataFrame, features: pd.DataFrame) -> int:
    """Write rows past the policy's limit to the quarantine table, each with its reason; their answers stay stored.

    Returns:
        How many rows; 0 where the policy declares no limit.
    """
    share = step.loop.policy_of(step.model).quarantine
    if share is None or champion.instruments is None:
        return 0
    extremes = champion.instruments.extremes
    scores, limit = extremes.score(features), extremes.limit(1 - share)
    past = np.flatnonzero(scores > limit)
    if past.size:
        rows = current[past].select("prediction_id", *key_names(step.model), "as_of", "version", "served_at")
        told = rows.with_columns(
            score=pl.Series(scores[past]),
            limit=pl.lit(limit),
            reason=pl.Series(extremes.reasons(features.iloc[past])),
        )
        batch = f"{step.model.name}|{champion.epoch.version}|{window_of(step)}"
        step.loop.lake.append(f"quarantine/{predictions_table(step.model.name)}", told, batch=batch)
    return int(past.size)


def clients(step: Step, current: pl.DataFrame) -> tuple[ClientFinding, ...]:
    """Clients that stand out, where the policy names the column that says who asked."""
    client = step.loop.policy_of(step.model).client
    if client is None or not current.height:
        return ()
    ordered = current.sort("served_at", "as_of", maintain_order=True)
    features = stored_input(ordered, step.model)
    read = [name for name in features.columns if name != client]
    asked = features.assign(**{client: ordered[client].to_numpy()}) if client not in features else features
    return odd_clients(asked, read, client=client)
