"""From a stored model to one that is served: verified, warm, and on the highest tier that proves itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_plugins import loader
from mlflow_plugins.deployment.columns import Column, columns_of
from mlflow_plugins.deployment.compiled import predict_by, stored_plan
from mlflow_plugins.deployment.decoding import Decoder
from mlflow_plugins.deployment.frames import to_frame
from mlflow_plugins.deployment.mlflow_app import MlflowApp
from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.proving import Sample, problem_of, sample_of
from mlflow_plugins.deployment.question import Question
from mlflow_plugins.deployment.questions import Questions
from mlflow_plugins.deployment.served import Output, Predict, Served, headers_of
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import NoQuestionsError
from mlflow_plugins.loader import LoadedModel
from mlflow_plugins.models import GOLDEN, PREDICT_FUNCTIONS
from mlflow_plugins.trial import Trial, try_in_clean_process
from modeling.pipeline import Kind
from modeling.plan.compile import compile_plan
from modeling.plan.plan import Plan

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A version as it came from its folder.

    Attributes:
        predict: a frame in the dtypes of the signature to what the pyfunc answers.
        scores: the same to what lies behind the answer, where something does.
        plan: of our own models, what was compiled and verified when it was registered.
        rows: to prove tiers on; none where the model brings none.
        manifest: what one of our own versions tells about itself.
    """

    pyfunc: Any
    predict: Callable[[pd.DataFrame], Any]
    scores: Callable[[pd.DataFrame], Any] | None = None
    plan: Plan | None = None
    rows: pd.DataFrame | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Choice:
    """The tier that was chosen, and why none above it."""

    tier: Tier = Tier.MLFLOW
    predict: Predict | None = None
    refused: dict[str, str] = field(default_factory=dict)


def load_served(stored: StoredModel) -> Served:
    """Load a version, and let each faster tier prove that its bytes are MLflow's.

    Raises:
        IntegrityError: something is not what was recorded; nothing of the model has run then.
        UntrustedTypeError: the file holds a type that neither we nor the operator allow.
    """
    loaded = _foreign(stored) if stored.digest is None else _verified(stored)
    columns = columns_of(loaded.pyfunc.metadata) or ()
    sample = None
    if columns and loaded.rows is not None:
        sample = sample_of(loaded.rows, columns, loaded.pyfunc)
    choice = _choose(stored.tier or Tier.COMPILED, loaded, sample)
    for tier, problem in choice.refused.items():
        _log.warning("Model %s version %s is not served at tier %s: %s", stored.model, stored.version, tier, problem)
    questions = _questions(stored, loaded, columns) if choice.predict is not None else None
    return Served(
        model=stored.model,
        version=stored.version,
        epoch=stored.epoch,
        digest=stored.digest or "",
        tier=choice.tier,
        columns=columns,
        decoder=Decoder(columns) if choice.predict is not None else None,
        predict=choice.predict,
        mlflow=MlflowApp(loaded.pyfunc),
        headers=headers_of(stored.model, stored.version, stored.epoch),
        output=_output(choice.predict, sample),
        examples=sample.examples(3) if sample is not None else (),
        refused=choice.refused,
        signature=_signature(loaded.pyfunc),
        keys=questions.keys if questions is not None else {},
        questions=questions,
    )


def try_first(stored: StoredModel) -> None:
    """Load a version in a clean process, once, where the options say so.

    Raises:
        IntegrityError: it did not load there.
    """
    if stored.trials is not None and stored.digest is not None:
        trial = Trial(stored.folder, stored.digest, stored.contents, tuple(stored.trusted_types))
        try_in_clean_process(trial, Path(stored.trials))


def _choose(highest: Tier, loaded: _Loaded, sample: Sample | None) -> _Choice:
    choice = _Choice()
    if sample is None:
        choice.refused[Tier.TYPED] = "the signature is not of named scalar columns, or there are no rows to prove it on"
        return choice
    scores = None if loaded.scores is None else _framed(loaded.scores, sample.columns)
    for tier, predict in _candidates(loaded, sample.columns):
        if tier.rank > highest.rank:
            continue
        problem = problem_of(tier, predict, sample, scores)
        if problem is None:
            choice.tier, choice.predict = tier, predict
            return choice
        choice.refused[tier] = problem
    return choice


def _candidates(loaded: _Loaded, columns: Sequence[Column]) -> list[tuple[Tier, Predict]]:
    typed = _framed(loaded.predict, columns)
    found: list[tuple[Tier, Predict]] = [(Tier.MICROBATCH, typed), (Tier.TYPED, typed)]
    compiled = predict_by(loaded.plan, columns) if loaded.plan is not None else None
    return [(Tier.COMPILED, compiled), *found] if compiled is not None else found


def _framed(ask: Callable[[pd.DataFrame], Any], columns: Sequence[Column]) -> Predict:
    """What is asked with a frame, asked with decoded columns."""
    return lambda values: ask(to_frame(columns, values))


def _verified(stored: StoredModel) -> _Loaded:
    """One of our models: every check of the loader, then MLflow's wrapper around what it loaded."""
    from mlflow.models import Model
    from mlflow.pyfunc import PyFuncModel
    from mlflow.sklearn import _SklearnModelWrapper

    folder = Path(stored.folder)
    assert stored.digest is not None  # the caller looked
    try_first(stored)
    checked = loader.load(
        folder, expected_digest=stored.digest, expected_contents=stored.contents, extra_types=stored.trusted_types
    )
    described = Model.load(str(folder))
    function = PREDICT_FUNCTIONS[checked.task]
    # MLflow's own wrapper, not its loader: that would read the file again, and trust types that the model names.
    pyfunc = PyFuncModel(described, _SklearnModelWrapper(checked.pipeline), function, model_id=described.model_id)
    plan, golden = stored_plan(folder), pd.read_parquet(folder / GOLDEN)
    if plan is None and stored.tier is Tier.COMPILED:
        plan = _compiled(checked, golden)
    scores = getattr(checked.pipeline, "decision_function", None)
    return _Loaded(pyfunc, getattr(checked.pipeline, function), scores, plan, golden, checked.manifest)


def _compiled(checked: LoadedModel, rows: pd.DataFrame) -> Plan | None:
    """A plan made now, because the operator asked for the tier of a version that was registered without one."""
    kinds: dict[str, Kind] = {"double": "number", "string": "text"}
    if not set(checked.kinds) <= kinds.keys():
        return None
    named = [kinds[kind] for kind in checked.kinds]
    found = compile_plan(checked.pipeline, checked.task, checked.columns, named, rows)
    return found if isinstance(found, Plan) else None


def _foreign(stored: StoredModel) -> _Loaded:
    """Any pyfunc model, by MLflow's loader: it runs what the model brings, so the operator has to ask for it."""
    from mlflow.pyfunc import load_model

    pyfunc = load_model(stored.folder)
    example = pyfunc.input_example
    return _Loaded(pyfunc, pyfunc.predict, rows=example if isinstance(example, pd.DataFrame) else None)


def _questions(stored: StoredModel, loaded: _Loaded, columns: Sequence[Column]) -> Questions | None:
    """How requests by key are read; none where nobody said so, or the version does not tell its key."""
    if stored.lookup is None or not loaded.manifest:
        return None
    try:
        return Questions(Question.of(loaded.manifest, columns), columns, stored.lookup)
    except NoQuestionsError as error:
        _log.info("Model %s version %s: %s", stored.model, stored.version, error)
        return None


def _signature(pyfunc: Any) -> dict[str, Any]:
    """Inputs and outputs as MLflow writes them; empty where a model has none."""
    found = pyfunc.metadata.signature
    return dict(found.to_dict()) if found is not None else {}


_DATATYPES = {"f8": "FP64", "f4": "FP32", "i8": "INT64", "i4": "INT32", "b1": "BOOL"}


def _output(predict: Predict | None, sample: Sample | None) -> Output | None:
    """What a prediction is, learned from the sample; none where it is no array of numbers."""
    if predict is None or sample is None:
        return None
    found = predict(sample.values)
    datatype = _DATATYPES.get(found.dtype.str[1:]) if isinstance(found, np.ndarray) else None
    return Output(datatype, found.shape[1:]) if datatype is not None else None
