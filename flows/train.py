"""Train: candidates fitted on what was known, judged on newer rows, the best registered as a challenger."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version as package_version
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from prefect import flow

from feature_store.offline import training_set as stored
from feature_store.offline.rebuilding import PARTS
from flows.decide import judge
from flows.features.lineage import VIEWS_TAG, views_tag
from flows.features.views import view_versions
from flows.frames import gone_features, model_input
from flows.identity import code_version, environment
from flows.model import Model
from flows.results import Result
from flows.sharing import sharing
from flows.steps import Step, carry_out, run_name
from flows.tasks import task
from flows.wiring import IMPORTANCE, Reign
from flows.worth import models_compared
from flows.worth_told import table
from lifecycle import run_tags
from lifecycle.decisions import Epoch
from lifecycle.errors import LifecycleError
from lifecycle.evidence import ChallengerFacts, Verdict
from lifecycle.moments import Window, iso, parse_moment
from lifecycle.ports import Alias, RegisteredVersion
from lifecycle.records import to_plain
from mlflow_plugins.dataset_source import LONGEST, LakeDatasetSource, packed
from mlflow_plugins.models import (
    GOLDEN,
    INSTRUMENTS,
    MANIFEST,
    PLAN,
    REFERENCE,
    SERVING,
    Golden,
    ModelPackage,
    golden_of,
)
from modeling import export, gates
from modeling import training as fitting
from modeling.errors import ModelingError
from modeling.explanation import Importance, permutation_importance
from modeling.figures import candidates_figure, importance_figure, reliability_figure
from modeling.plan.registration import Serving, prove
from modeling.recalibration import Recalibration
from modeling.tasks import Task, parse_task
from modeling.training_plan import TrainingPlan
from modeling.training_plan import TrainingSet as Rows
from monitoring.figures import attribution_figure
from monitoring.instruments import Instruments
from monitoring.labels import LabelledRows
from monitoring.outliers import SCORE
from monitoring.reference import Reference

_EXAMPLE_ROWS = 3
_TIMED_ROWS = 300
_CALIBRATING_WINDOWS = 26


@dataclass(frozen=True, slots=True)
class Challenger:
    """What a training made, before it is registered.

    Attributes:
        earlier: features in the windows before the evaluation, oldest first, from which drift is calibrated.
    """

    result: fitting.TrainingResult
    verdicts: tuple[Verdict, ...]
    manifest: dict[str, Any]
    golden: Golden
    earlier: tuple[pd.DataFrame, ...] = ()


@flow(name="train", flow_run_name=run_name)
def train(model: str, as_of: str | None = None) -> Result:
    """Fit the candidates, gate the best, register it, and let the policy decide on it."""
    trained = carry_out("train", model, as_of, _train)
    decided = judge(model, trained.as_of, trained.facts["version"])
    shown = {name: decided.facts[name] for name in ("action", "reason", "decision")}
    return replace(trained, facts={**trained.facts, **shown})


def _train(step: Step) -> Result:
    known = build_training_set(step)
    champion = step.loop.champion(step.model)
    result = fit_candidates(step, known, champion)
    challenger = judge_challenger(step, result, known.manifest, champion)
    challenger = replace(challenger, earlier=windows_before(step, known.frame, result.split.evaluation.start))
    log_training(step, challenger, known)
    registered = register(step, challenger)
    facts = ChallengerFacts(
        version=registered.version,
        digest=challenger.golden.digest,
        candidate=result.best.name,
        against_epoch=champion.epoch.epoch if champion else None,
        verdicts=(verify_artifact(step, registered), *challenger.verdicts),
    )
    return Result(
        "train", step.model.name, iso(step.as_of), {**told(challenger, facts), "_challenger": to_plain(facts)}
    )


@task("build training set")
def build_training_set(step: Step) -> stored.TrainingSet:
    """Every question whose label is known at `as_of`, with its features as they were then."""
    model = step.model
    definition = stored.Definition(model.features, model.label, model.spine)
    return stored.training_set(definition, step.loop.lake, None, step.as_of)


@task("fit candidates")
def fit_candidates(step: Step, known: stored.TrainingSet, champion: Reign | None) -> fitting.TrainingResult:
    """All history, the recent window, the champion recalibrated: fitted on older rows, judged on the newest block."""
    frame, fit = known.frame, step.model.fitting
    rows = Rows(
        X=model_input(frame, step.model),
        y=frame["label"].cast(pl.Float64).to_numpy(),
        as_of=_moments(frame["as_of"]),
        label_available_at=_moments(frame["label_available_at"]),
    )
    if champion is not None and gone_features(champion.loaded.columns, step.model):
        champion = None  # it cannot answer any more; the paired test says so
    predict = champion.loaded.predict if champion else None
    if step.loop.fits is not None:
        fit = sharing(fit, known.manifest["content_digest"], step.model.seed, step.loop.fits)
    return fitting.train(rows, fit, plan_of(step.model, step.as_of), predict, recalibration_of(champion, step.model))


def windows_before(step: Step, frame: pl.DataFrame, end: datetime) -> tuple[pd.DataFrame, ...]:
    """Features of the newest windows that end before a moment, oldest first; empty ones are left out."""
    length = step.loop.policy_of(step.model).every
    end = end if end.tzinfo else end.replace(tzinfo=step.as_of.tzinfo)
    windows = [Window.before(end - number * length, length) for number in reversed(range(_CALIBRATING_WINDOWS))]
    asked = [frame.filter((pl.col("as_of") > window.start) & (pl.col("as_of") <= window.end)) for window in windows]
    return tuple(model_input(rows, step.model) for rows in asked if rows.height)


def recalibration_of(champion: Reign | None, model: Model) -> Recalibration | None:
    """The champion as a candidate with its probabilities mended; a regression has none."""
    if champion is None or parse_task(model.task) is not Task.BINARY:
        return None
    return Recalibration(champion.loaded.pipeline, parse_moment(champion.loaded.manifest["newest_label"]))


def plan_of(model: Model, as_of: datetime) -> TrainingPlan:
    """How a training at `as_of` is done."""
    return TrainingPlan(
        task=parse_task(model.task),
        metric=model.gate.metric,
        now=as_of,
        evaluation=model.evaluation_length,
        gap=model.wait,
        block=model.block,
        recent=model.recent,
        seed=model.seed,
    )


def _moments(column: pl.Series) -> np.ndarray:
    return column.dt.replace_time_zone(None).cast(pl.Datetime("us")).to_numpy()


@task("judge")
def judge_challenger(
    step: Step, result: fitting.TrainingResult, data: dict[str, Any], champion: Reign | None
) -> Challenger:
    """Every gate in order; what was tested is what is registered, nothing is refitted."""
    model, frame = step.model, result.evaluation_frame
    columns = {name: frame[name].to_numpy() for name in (*model.gate.slices, *model.gate.groups)}
    verdicts = gates.judge(model.gate, result.rows, columns, alternatives=result.alternatives, seed=model.seed)
    gone = gone_features(champion.loaded.columns, model) if champion else []
    if gone:
        verdicts = tuple(_not_compared(verdict, gone) for verdict in verdicts)
    if model.gate.p99 is not None:
        verdicts = (*verdicts, gates.latency(answer_time_p99(result), model.gate))
    golden = golden_of(result.best.model, frame, parse_task(model.task))
    best = next(score for score in result.table if score.name == result.best.name)
    manifest = {
        "model": model.name,
        "as_of": iso(step.as_of),
        "task": model.task,
        "candidate": result.best.name,
        "digest": golden.digest,
        "metric": model.gate.metric,
        "gate_value": best.estimate.value,
        "newest_label": iso(result.best.newest_label.replace(tzinfo=step.as_of.tzinfo)),
        "evaluation": str(result.split.evaluation),
        "seed": model.seed,
        "code": code_version(model.path),
        "environment": environment(),
        "views": view_versions(model),
        "data": data,
        IMPORTANCE: {one.column: one.loss for one in importances(step, result)},
    }
    return Challenger(result, verdicts, manifest, golden)


def _not_compared(verdict: Verdict, gone: list[str]) -> Verdict:
    """The paired test's no where the champion could not answer: what is not known to be better is not promoted."""
    if verdict.gate != gates.PAIRED:
        return verdict
    return replace(verdict, passed=False, text=f"the champion takes {gone}, which the model file has no more")


def importances(step: Step, result: fitting.TrainingResult) -> tuple[Importance, ...]:
    """How much the challenger leans on each column, on rows that it was not trained on; largest first."""
    plan = plan_of(step.model, step.as_of)
    return permutation_importance(result.best.model, result.evaluation_frame, result.rows.y, plan)


def answer_time_p99(result: fitting.TrainingResult) -> float:
    """99th percentile of the time to answer one row, in milliseconds, over the first rows of the evaluation."""
    taken = []
    for place in range(min(_TIMED_ROWS, len(result.evaluation_frame))):
        row = result.evaluation_frame.iloc[[place]]
        started = time.perf_counter()
        result.best.model.predict(row)
        taken.append((time.perf_counter() - started) * 1000)
    return float(np.quantile(taken, 0.99)) if taken else float("nan")


def log_training(step: Step, challenger: Challenger, known: stored.TrainingSet) -> None:
    """Parameters, metrics, data and plots of the run, and one run a candidate to compare them by."""
    run, result, model = step.run, challenger.result, step.model
    best = next(score for score in result.table if score.name == result.best.name)
    metric = model.gate.metric
    run.params(_params(model, result) | {f"fitted.{name}": value for name, value in result.best.values.items()})
    run.metrics({metric: best.estimate.value, f"{metric}_low": best.estimate.low, f"{metric}_high": best.estimate.high})
    run.metrics({f"{metric} of {score.name}": score.estimate.value for score in result.table})
    run.text(json.dumps(to_plain(challenger.verdicts), indent=1), "gates.json")
    run.tags({VIEWS_TAG: views_tag(challenger.manifest["views"])})
    run.dataset(f"{model.name} training set", known.frame.head(1).to_pandas(), lake_source(step, known), "training")
    _log_figures(step, challenger)
    for score in result.table[: result.alternatives]:
        with step.loop.tracker.run(f"{model.name} candidates", f"{score.name} {step.as_of:%Y-%m-%d}") as candidate:
            candidate.params({"candidate": score.name, "rows": score.rows, "as_of": iso(step.as_of)})
            candidate.metrics({metric: score.estimate.value, "fit_seconds": score.fit_seconds})
            candidate.tags({"mlflow.parentRunId": run.run_id})


def _params(model: Model, result: fitting.TrainingResult) -> dict[str, object]:
    return {
        "candidate": result.best.name,
        "rows": result.best.rows,
        "evaluation": str(result.split.evaluation),
        "training": str(result.split.training),
        "estimator": type(result.best.model[-1]).__name__
        if hasattr(result.best.model, "steps")
        else type(result.best.model).__name__,
        "policy": str(model.policy),
        "seed": model.seed,
    }


def lake_source(step: Step, known: stored.TrainingSet) -> LakeDatasetSource:
    """Where the training set can be made again from."""
    manifest = known.manifest
    source = LakeDatasetSource(
        lake=step.loop.settings.lake_root,
        table_versions=manifest["tables"],
        views=manifest["views_digest"],
        as_of=iso(step.as_of),
        rows=known.frame.height,
        content_hash=manifest["content_digest"],
        definition=packed({name: manifest[name] for name in ("start", *PARTS)}),
    )
    return source if len(source.to_json()) <= LONGEST else replace(source, definition="")


def _log_figures(step: Step, challenger: Challenger) -> None:
    result = challenger.result
    importance = [Importance(column, loss) for column, loss in challenger.manifest[IMPORTANCE].items()]
    step.run.figure(candidates_figure(result.table, step.model.gate.metric), "candidates.png")
    step.run.figure(importance_figure(importance), "importance.png")
    apart = models_compared(step, result.best.model, result.evaluation_frame)
    if apart is not None and apart.findings:
        step.run.figure(attribution_figure(apart), "attributions.png")
        step.run.text(table(apart.findings), "attributions.csv")
    if step.model.task == "binary":
        step.run.figure(reliability_figure(result.rows), "reliability.png")


@task("register")
def register(step: Step, challenger: Challenger) -> RegisteredVersion:
    """Log the model with everything later steps read beside it, and make it a registered version."""
    loop, model, result = step.loop, step.model, challenger.result
    key = step.key("train")
    known = loop.registry.by_key(model.name, key)
    if known is not None:
        return known
    serving = prove(result.best.model, result.evaluation_frame, parse_task(model.task))
    source = step.run.model(package(step, challenger, serving))
    tags = {
        "incumbent.tier": str(serving.verdict.tier),
        "incumbent.key": key,
        "incumbent.digest": challenger.golden.digest,
        "incumbent.candidate": result.best.name,
        "incumbent.gates": "refused" if any(not verdict.passed for verdict in challenger.verdicts) else "passed",
        run_tags.AS_OF: iso(step.as_of),
        VIEWS_TAG: views_tag(challenger.manifest["views"]),
        "owner": model.owner,
    }
    registered = loop.registry.register(model.name, source=source, run_id=step.run.run_id, tags=tags)
    loop.registry.describe(model.name, None, f"{model.purpose}. Owner: {model.owner}.")
    loop.registry.describe(model.name, registered.version, description(step, challenger))
    loop.registry.point(model.name, Alias.CHALLENGER, at=registered.version, tags={})
    return registered


@task("verify artifact")
def verify_artifact(step: Step, registered: RegisteredVersion) -> Verdict:
    """The first gate: what was registered loads by our own loader, and answers its golden rows bit for bit."""
    wanted = Epoch(step.model.name, 0, registered.version, registered.digest, "", step.as_of)
    try:
        step.loop.reign(wanted)
    except (LifecycleError, ModelingError) as error:
        step.run.text(str(error), "integrity.txt")  # it names folders, which a decision record leaves out
        return gates.integrity([f"{type(error).__name__}, told in integrity.txt of the run"], [])
    return gates.integrity([], ["files", "types", "digest", "golden rows"])


def package(step: Step, challenger: Challenger, serving: Serving) -> ModelPackage:
    """The model with manifest, golden rows, the frozen reference window, and how it may be served."""
    model, result = step.model, challenger.result
    example = result.evaluation_frame
    instruments = learn_instruments(challenger, model)
    seen = example.assign(prediction=result.rows.challenger, **{SCORE: instruments.extremes.score(example)})
    reference, fitted = io.BytesIO(), io.BytesIO()
    Reference.of(seen, seed=model.seed, earlier=challenger.earlier).write(reference)
    instruments.write(fitted)
    plan = serving.plan_file()
    return ModelPackage(
        pipeline=result.best.model,
        example=example.head(_EXAMPLE_ROWS),
        task=parse_task(model.task),
        files={
            MANIFEST: json.dumps(challenger.manifest, indent=1, sort_keys=True).encode(),
            GOLDEN: challenger.golden.file,
            REFERENCE: reference.getvalue(),
            INSTRUMENTS: fitted.getvalue(),
            SERVING: serving.verdict_file(),
            **({} if plan is None else {PLAN: plan}),
        },
        requirements=[f"{name}=={package_version(name)}" for name in ("scikit-learn", "skops", "numpy", "pandas")],
        trusted_types=[*sorted(export.ALLOWED_TYPES), *step.loop.settings.loading.trusted_types],
    )


def learn_instruments(challenger: Challenger, model: Model) -> Instruments:
    """What later windows are looked at with, learned on the rows that the challenger was judged on."""
    judged, features = challenger.result.rows, challenger.result.evaluation_frame
    rows = LabelledRows(features, judged.challenger, judged.y, judged.blocks, binary=model.task == "binary")
    return Instruments.learn(rows, seed=model.seed)


def description(step: Step, challenger: Challenger) -> str:
    """What a person reads on the version's page."""
    verdicts = "\n".join(f"- {'passed' if v.passed else '**refused**'} {v.gate}: {v.text}" for v in challenger.verdicts)
    run = step.loop.tracker.run_url(step.run.run_id)
    return f"Trained as of {iso(step.as_of)}: {challenger.result.best.name}. [Run]({run})\n\n{verdicts}"


def told(challenger: Challenger, facts: ChallengerFacts) -> dict[str, Any]:
    """The training in a few lines."""
    result = challenger.result
    fitted = result.table[: result.alternatives]
    return {
        "version": facts.version,
        "candidate": facts.candidate,
        **{
            score.name: f"{score.estimate} on {score.rows:,} rows" if score.rows else str(score.estimate)
            for score in result.table
        },
        **{f"gate {v.gate}": f"{'passed' if v.passed else 'REFUSED'}: {v.text}" for v in facts.verdicts},
        "fitted_rows": sum(score.rows for score in fitted),
        "fit_seconds": round(sum(score.fit_seconds for score in fitted), 2),
    }
