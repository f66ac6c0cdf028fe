"""Check: the spec, the schema, leakage, and a dry run on a sample, in seconds and without any server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import polars as pl

from feature_store.definitions.feature_view import feature_names
from feature_store.definitions.source import Source
from feature_store.definitions.suite import Suite
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.offline.labels import KNOWN, labels
from feature_store.offline.questions import questions
from feature_store.online.plan import works_online
from feature_store.storage.lake import Lake
from feature_store.storage.tables import table_of
from flows.errors import BatchRefusedError, SpecError
from flows.expecting import expecting, suite_of
from flows.frames import model_input
from flows.model import Model
from flows.results import Result
from flows.wiring import read_source
from lifecycle.moments import spell
from modeling.metrics import value as metric_value
from monitoring.labels import label_delay_p95

_SAMPLE = 20_000
_FAR = timedelta(days=36_500)
_SUSPICIOUS = 0.99  # one feature that ranks the labels almost perfectly nearly always knows them


def check(model: Model) -> Result:
    """Read every source, ingest the newest part into a lake that is thrown away, ask a sample, and look for leaks.

    Raises:
        FeatureStoreError: a source does not fit its declaration.
        BatchRefusedError: an expectation stops the batch.
        SpecError: nothing is asked, or a feature answers the question by itself.
        NotFittedError: the model has nothing to fit.
    """
    fitting = model.fitting
    facts: dict[str, object] = {"features": len(feature_names(model.features)), "policy": str(model.policy)}
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        for source in model.sources:
            facts[f"source {source.name}"] = _ingest(expecting(model, source), lake)
            facts[f"expectations of {source.name}"] = _expected(suite_of(model, source), model)
        asked = _sample(model, lake)
        seen = features(model.features, asked, lake, spine=model.spine)
        answered = labels(model.label, model.spine, seen, lake, _end(asked) + _FAR / 2)
    known = answered.filter(pl.col("label_state") == KNOWN)
    facts["questions tried"] = f"{seen.height:,}, {known.height:,} with a label"
    facts |= _delay(model, known)
    facts["nulls"] = {name: f"{share:.0%}" for name, share in _null_shares(model, seen).items() if share > 0.2} or "few"
    _refuse_leaks(model, known)
    facts["leaks"] = "none found"
    facts |= _online(model)
    facts["fits"] = getattr(fitting, "__name__", type(fitting).__name__)
    facts["next"] = f"incumbent ingest {model.path}; incumbent train {model.path}"
    return Result("check", model.name, "", facts)


def _online(model: Model) -> dict[str, object]:
    """Whether the features that are looked up can be kept up online."""
    batch_only = [view.told for view in model.features if not works_online(view)]
    return {"batch scoring only": ", ".join(batch_only)} if batch_only else {}


def _ingest(source: Source, lake: Lake) -> str:
    raw = read_source(source)
    end = datetime.max.replace(year=2200, microsecond=0, tzinfo=UTC)
    result = ingest_batch(source, raw, lake, as_of=end, batch="check")
    if result.stopped:
        raise BatchRefusedError(source.name, result.stopped)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in result.reasons.items())
    return f"{result.appended:,} rows, {result.quarantined} quarantined" + (f": {reasons}" if reasons else "")


def _expected(suite: Suite | None, model: Model) -> str:
    if suite is None:
        return f"no suite beside the model file; infer one once data is taken in: incumbent expect {model.path}"
    return f"{len(suite.checks)} in the suite, version {suite.version}, inferred from {suite.reference}"


def _sample(model: Model, lake: Lake) -> pl.DataFrame:
    newest = lake.read(table_of(model.sources[0]), columns=["event_time"])["event_time"].max()
    if not isinstance(newest, datetime):
        raise SpecError("Model.spine", str(model.spine), "Its source has no rows, so nothing is asked; look at `read`.")
    asked = questions(model.spine, lake, None, newest + _FAR / 100)
    if not asked.height:
        raise SpecError("Model.spine", model.name, "No question is asked: rows must be available at their as_of.")
    step = max(1, asked.height // _SAMPLE)
    return asked.gather_every(step)


def _end(asked: pl.DataFrame) -> datetime:
    newest = asked["as_of"].max()
    assert isinstance(newest, datetime)
    return newest


def _delay(model: Model, known: pl.DataFrame) -> dict[str, object]:
    """How long labels take, and whether the cooldown allows for it."""
    if not known.height:
        return {"labels": "none known: has the data ended too early?"}
    p95 = label_delay_p95((known["label_available_at"] - known["as_of"]).to_numpy())
    cooldown = model.policy.cooldown_after(p95)
    return {"label delay": f"95 % within {p95}", "cooldown": spell(cooldown)}


def _null_shares(model: Model, seen: pl.DataFrame) -> dict[str, float]:
    x = model_input(seen, model)
    return {str(name): float(share) for name, share in x.isna().mean().items()}


def _refuse_leaks(model: Model, known: pl.DataFrame) -> None:
    """A single feature that ranks the labels almost perfectly knows the answer."""
    if model.task != "binary" or known["label"].n_unique() < 2:
        return
    y = known["label"].cast(pl.Float64).to_numpy()
    x = model_input(known, model)
    for name in x.columns:
        if x[name].dtype == object or x[name].isna().all():
            continue
        ranks = (
            x[name].fillna(x[name].median()).rank(pct=True)
        )  # a metric takes shares of 0 to 1, and AUC sees order only
        auc = metric_value("auc", y, ranks.to_numpy())
        if max(auc, 1 - auc) > _SUSPICIOUS:
            raise SpecError(
                "Model.features", name, f"Alone it ranks the labels with AUC {auc:.3f}: it seems to know them."
            )
