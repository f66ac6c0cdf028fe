"""Monitor: one window seen whole: drift, labels that have arrived, performance; and a page where a person will look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import polars as pl
from prefect import flow

from flows.decide import evidence_before
from flows.evidence import (
    against_previous,
    answering_champion,
    asked_lately,
    champion_facts,
    delay_p95,
    earlier_findings,
    ingest_facts,
    last_training,
    performance,
    predictions,
    watched,
)
from flows.frames import stored_input
from flows.pages import drift_report, keep_evidently_run, log_page, log_quality
from flows.profiles import log_profile, statistics
from flows.results import Result
from flows.skew import measure_skew
from flows.steps import Step, carry_out, run_name
from flows.tasks import task
from flows.wiring import IMPORTANCE, Reign
from flows.worth import explained, labelled, measure_worth
from flows.worth_told import log_worth, revised_series, series_of
from flows.worth_told import told as worth_told
from lifecycle.actions import Hold
from lifecycle.drift_findings import with_importance
from lifecycle.errors import CooldownTooShortError
from lifecycle.evidence import DriftFinding, Evidence, JointDrift
from lifecycle.moments import Window, iso, parse_moment
from lifecycle.records import to_plain
from lifecycle.worth import AttributionDrift, Worth
from monitoring.drift import drift
from monitoring.joint_drift import joint_drift
from monitoring.outliers import SCORE


@flow(name="monitor", flow_run_name=run_name)
def monitor(model: str, as_of: str | None = None) -> Result:
    """Look at the window that ends at `as_of`: evidence every time, the page monthly and at every alarm."""
    return carry_out("monitor", model, as_of, _monitor)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the champion was asked, and what is known of it.

    Attributes:
        answered: its predictions of the current window, as stored.
        current: the same as drift is measured on: features, `prediction` and `outlier_score`.
        asked: its predictions since the newest fully labelled window began, with the labels known by now.
        earlier: evidence of past windows, newest first.
    """

    answered: pl.DataFrame
    current: pd.DataFrame
    asked: pl.DataFrame
    earlier: Sequence[Evidence]


def _monitor(step: Step) -> Result:
    champion = answering_champion(step.loop, step.model)
    answered = current_predictions(step, champion)
    earlier = evidence_before(step.loop.ledger, step.model, step.as_of)
    seen = Seen(answered, current_frame(step, champion, answered), join_labels(step, champion), earlier)
    evidence = gather(step, champion, seen)
    log_series(step, champion, evidence, statistics(log_profile(step, champion, seen.current)))
    keeps = len(seen.current) > 0 and step.loop.settings.monitoring.evidently_workspace
    due = len(seen.current) > 0 and page_is_due(step, evidence, earlier)
    report = drift_report(step, champion, evidence.drift, seen.current) if keeps or due else None
    if keeps and report is not None:
        keep_evidently_run(step, report)
    links: dict[str, str] = {}
    if due:
        links = log_page(step, champion, evidence.drift, seen.current, report)
        known = labelled(step.model, watched(step.model, seen.asked, step.as_of))
        links |= log_quality(step, champion, known) if known is not None else {}
        evidence = with_explanation(evidence, explained(step, champion, answered))
        evidence = replace(evidence, joint=measure_joint_drift(step, champion, seen.current))
        log_worth(step, evidence, seen.asked, earlier)
    facts = {**told(evidence, step.model.gate.metric), "_evidence": to_plain(evidence)}
    return Result("monitor", step.model.name, iso(step.as_of), facts, links)


def with_explanation(evidence: Evidence, drift: AttributionDrift) -> Evidence:
    """The same evidence, the champion's own attributions added."""
    worth = evidence.worth or Worth()
    return replace(evidence, worth=replace(worth, attributions=(*worth.attributions, drift)))


def current_predictions(step: Step, champion: Reign) -> pl.DataFrame:
    """What the champion answered in the window, as stored."""
    window = Window.before(step.as_of, step.loop.policy_of(step.model).every)
    rows = predictions(step.loop, step.model, window)
    return rows.filter(pl.col("version") == champion.epoch.version) if rows.height else rows


def current_frame(step: Step, champion: Reign, answered: pl.DataFrame) -> pd.DataFrame:
    """What the champion saw and answered in the window: its features, `prediction` and `outlier_score`."""
    if not answered.height:
        return pd.DataFrame()
    seen = stored_input(answered, step.model)
    frame = seen.assign(prediction=answered["prediction"].to_numpy())
    if champion.instruments is None:
        return frame
    return frame.assign(**{SCORE: champion.instruments.extremes.score(seen)})


def gather(step: Step, champion: Reign, seen: Seen) -> Evidence:
    """Everything a policy may look at, as it was known at `as_of`."""
    loop, model, as_of = step.loop, step.model, step.as_of
    rows = watched(model, seen.asked, as_of)
    evidence = Evidence(
        model=model.name,
        as_of=as_of,
        window=Window.before(as_of, loop.policy_of(model).every),
        champion=champion_facts(champion),
        drift=measure_drift(champion, seen.current, earlier_findings(loop, model, champion, as_of)),
        performance=performance(model, rows, as_of) if rows.height else None,
        against_previous=against_previous(loop, model, rows),
        ingested=ingest_facts(loop, model, as_of),
        last_training=last_training(loop, model, as_of),
        label_delay_p95=delay_p95(rows),
        skew=measure_skew(step),
    )
    return replace(evidence, worth=measure_worth(step, champion, seen.answered, seen.asked, seen.earlier))


@task("join labels")
def join_labels(step: Step, champion: Reign) -> pl.DataFrame:
    """The champion's predictions since the newest fully labelled window began, with the labels known by now."""
    return asked_lately(step.loop, step.model, champion, step.as_of)


@task("measure drift")
def measure_drift(
    champion: Reign, current: pd.DataFrame, earlier: Sequence[Sequence[DriftFinding]]
) -> tuple[DriftFinding, ...]:
    """The window against the champion's own reference window and the windows since, column by column."""
    found = drift(champion.reference, current, earlier=earlier)
    return with_importance(found, champion.loaded.manifest.get(IMPORTANCE, {}))


@task("measure joint drift")
def measure_joint_drift(step: Step, champion: Reign, current: pd.DataFrame) -> tuple[JointDrift, ...]:
    """The features of the window taken together; it costs a few fits, and so is made when a page is due."""
    found = joint_drift(champion.reference.frame, current, seed=step.model.seed)
    step.run.metrics({f"joint_drift.{one.method}": one.value for one in found if one.value is not None})
    return found


def page_is_due(step: Step, evidence: Evidence, earlier: Sequence[Evidence]) -> bool:
    """Monthly, and at every alarm: when the policy no longer just holds. An alarm that goes on is the same alarm."""
    window = evidence.window
    if (window.start.year, window.start.month) != (window.end.year, window.end.month):
        return True
    return is_alarming(step, evidence, earlier) and not (earlier and is_alarming(step, earlier[0], earlier[1:]))


def is_alarming(step: Step, evidence: Evidence, earlier: Sequence[Evidence]) -> bool:
    """Whether the policy would do anything but hold, or would if its cooldown were no shorter than labels take."""
    try:
        return not isinstance(step.loop.policy_of(step.model).decide(evidence, earlier), Hold)
    except CooldownTooShortError:
        return True  # an error of the decision, which is made and told later, and not of what is seen


def log_series(step: Step, champion: Reign, evidence: Evidence, seen: Mapping[str, float]) -> None:
    """One point a window on the version's own monitoring run, so that MLflow's charts show its history.

    Args:
        seen: what the window itself looked like, beside what the evidence says of it.
    """
    values = {f"drift.{finding.column}": finding.score for finding in evidence.drift if finding.score is not None}
    if evidence.drift_known:
        values["drift_share"] = evidence.drift_share
    values |= {f"skew.{one.feature}": one.share for one in evidence.skew if one.checked}
    watched_now = evidence.performance
    if watched_now and watched_now.estimate:
        estimate = watched_now.estimate
        values |= {watched_now.metric: estimate.value, f"{watched_now.metric}_low": estimate.low}
        values |= {f"{watched_now.metric}_high": estimate.high, "label_coverage": watched_now.coverage.share}
    values |= series_of(evidence.worth, step.model.gate.metric) if evidence.worth else {}
    step.run.metrics(values)
    name = f"{step.model.name} version {champion.epoch.version}"
    with step.loop.tracker.series(f"{step.model.name} monitoring", name) as series:
        series.metrics({**seen, **values}, step=window_number(evidence.window, champion), at=evidence.as_of)
        for one in evidence.worth.revised if evidence.worth else ():
            series.metrics(revised_series(one), step=window_number(one.window, champion), at=evidence.as_of)
        series.tags({"incumbent.version": str(champion.epoch.version), "incumbent.newest_monitor_run": step.run.run_id})


def window_number(window: Window, champion: Reign) -> int:
    """Windows since the version was trained: the step of its time series, so that versions compare by their age."""
    return (window.end - parse_moment(champion.loaded.manifest["as_of"])) // (window.end - window.start)


def told(evidence: Evidence, metric: str) -> dict[str, object]:
    """Evidence in a few lines."""
    seen = evidence.performance
    return {
        "version": evidence.champion.version if evidence.champion else None,
        "drifted": drift_told(evidence),
        **({"taken together": "; ".join(one.told for one in evidence.joint)} if evidence.joint else {}),
        "performance": f"{seen.metric} {seen.estimate}" if seen and seen.estimate else "unknown",
        "labels": f"{seen.coverage.labelled} of {seen.coverage.asked}, {seen.coverage.waiting} waiting"
        if seen
        else "none",
        **(worth_told(evidence.worth, metric) if evidence.worth else {}),
        **({"skewed": [one.feature for one in evidence.skew if one.differing]} if evidence.skew else {}),
        "stale": [facts.source for facts in evidence.ingested if facts.stale],
    }


def drift_told(evidence: Evidence) -> str:
    """What drifted, by name; that a window without rows cannot tell is told as well."""
    if not evidence.drift_known:
        return "unknown: no column could be compared"
    drifted = [finding.named for finding in evidence.drifted]
    told = f"{len(drifted)} of {len(evidence.drift)}" + (f": {', '.join(drifted)}" if drifted else "")
    return told + (f"; unknown: {', '.join(evidence.undecided)}" if evidence.undecided else "")
