"""The spec of a model: what is asked, of which data, how it is judged, and when it is looked at again."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from feature_store.definitions.feature_view import Feature, Latest, Recency, Windowed, check_features, feature_names
from feature_store.definitions.source import Source
from feature_store.definitions.spine import Each, Every, Spine, asked_source
from feature_store.errors import FeatureStoreError
from feature_store.offline.labels import Ahead, Label, check_label
from flows.errors import FlowsError, ModelFileError, ModelNotFoundError, NotFittedError, SpecError
from lifecycle.errors import LifecycleError
from lifecycle.gates import Gate
from lifecycle.moments import span
from lifecycle.policies import Policy
from lifecycle.requests import PREDICTION_COLUMNS

TASKS = ("binary", "regression")
_TAKEN = frozenset({*PREDICTION_COLUMNS, "label", "label_available_at", "label_state"})
_MISTAKES = (
    *(ArithmeticError, AttributeError, ImportError, LookupError, NameError, OSError),
    *(SyntaxError, TypeError, ValueError),
)
_FEWEST_BLOCKS = 7  # below this a block bootstrap says little, and the gates refuse to decide


@dataclass(slots=True, eq=False)
class Model:
    """One model and the loop around it.

    Attributes:
        name: name of the registered model; letters, digits, `-` and `_`.
        owner: who is told, and who answers for it.
        purpose: what its predictions are used for.
        task: `binary` or `regression`.
        spine: which questions are asked, and when: `each(...)` or `every(...)`.
        label: the answer, and how long it may take.
        features: what is known at the question's moment.
        gate: what a challenger must show.
        policy: when to look and what to do.
        recent: length of the recent window that one candidate is trained on.
        evaluation: length of the newest block that challengers are judged on; none means the longer of two windows
            and seven independent blocks.
        seed: of every random choice.

    Raises:
        SpecError: a field contradicts the rest; the message names it and the fix.
    """

    name: str
    owner: str
    purpose: str
    task: str
    spine: Spine
    label: Label | Ahead
    features: tuple[Feature, ...]
    gate: Gate
    policy: Policy
    recent: timedelta = timedelta(days=60)
    evaluation: timedelta | None = None
    seed: int = 0
    path: Path | None = field(default=None, init=False)
    fitter: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.features = tuple(_flat([self.features]))
        self.recent = span(self.recent)
        self.evaluation = None if self.evaluation is None else span(self.evaluation)
        if not self.name or not all(letter.isalnum() or letter in "-_" for letter in self.name):
            raise SpecError("Model.name", self.name, "Use letters, digits, - and _ only.")
        for name in ("owner", "purpose"):
            if not str(getattr(self, name)).strip():
                raise SpecError(f"Model.{name}", getattr(self, name), f"Say the {name}: no model is kept without one.")
        if self.task not in TASKS:
            raise SpecError("Model.task", self.task, f"Choose one of {list(TASKS)}.")
        self._check_kinds()
        self._check_questions()
        self._check_features()
        self._check_gate()

    def _check_kinds(self) -> None:
        wanted: dict[str, Any] = {"spine": (Each, Every), "label": (Label, Ahead), "gate": Gate, "policy": Policy}
        for name, kind in wanted.items():
            if not isinstance(getattr(self, name), kind):
                fix = {"spine": "each(...) or every(...)", "label": "Label(...) or ahead(...)"}.get(name, name.title())
                raise SpecError(f"Model.{name}", getattr(self, name), f"Give it {fix}.")

    def _check_questions(self) -> None:
        """Predictions find their labels by the columns that identify a question."""
        source = asked_source(self.spine)
        columns = source.key_columns if isinstance(self.spine, Each) else source.entity_columns
        told = f"{type(self.spine).__name__.lower()}({source.name}, ...)"
        if not columns:
            fix = "Name the columns that identify a row of it, key=[...]: predictions find their labels by them."
            raise SpecError("Model.spine", told, fix)
        taken = sorted(_TAKEN.intersection(columns))
        if taken:
            fix = f"Rename {taken} in the function that reads it: predictions have columns of these names."
            raise SpecError("Model.spine", told, fix)
        check_label(self.label, self.spine)

    def _check_features(self) -> None:
        if not self.features:
            raise SpecError("Model.features", [], "Name at least one feature.")
        for view in self.features:
            if not isinstance(view, Feature):
                fix = "Features are made by request(...), derived(...), latest(...), window(...) and recency(...)."
                raise SpecError("Model.features", view, fix)
        check_features(self.features, self.spine)

    def _check_gate(self) -> None:
        if self.task == "binary" and self.gate.metric in {"mae", "rmse", "r2"}:
            raise SpecError(
                "Model.gate", self.gate.metric, "A binary task is judged by brier, log_loss, auc or accuracy."
            )
        if self.task == "regression" and self.gate.metric not in {"mae", "rmse", "r2"}:
            raise SpecError("Model.gate", self.gate.metric, "A regression is judged by mae, rmse or r2.")
        known = list(feature_names(self.features))
        for word in ("slices", "groups"):
            unknown = sorted(set(getattr(self.gate, word)) - set(known))
            if unknown:
                raise SpecError("Model.gate", f"Gate({word}={unknown})", f"Name a feature to slice by: {known}.")
        self.gate.block_length(self._looks_ahead)
        source = asked_source(self.spine)
        asked = {*(source.key_columns or ()), *source.entity_columns, *known}
        if self.policy.client is not None and self.policy.client not in asked:
            fix = f"Name a column of the questions, or a feature: {sorted(asked)}."
            raise SpecError("Model.policy", f"Policy(client={self.policy.client!r})", fix)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every stored source that spine, label and features read, each once, in order of first mention."""
        aged = [view.source for view in self.features if isinstance(view, (Latest, Windowed, Recency))]
        ahead = [self.label.source] if isinstance(self.label, Ahead) else []
        by_name: dict[str, Source] = {}
        for source in (asked_source(self.spine), *ahead, *aged):
            by_name.setdefault(source.name, source)
        return tuple(by_name.values())

    @property
    def wait(self) -> timedelta:
        """After this time a question's label is final."""
        return self.label.over + self.label.allowed_lateness if isinstance(self.label, Ahead) else self.label.deadline

    @property
    def block(self) -> timedelta:
        """Length of an independent block: outcomes that look ahead overlap for as long as they look.

        Questions asked once a week make no more than one block a week.
        """
        weekly = isinstance(self.spine, Every) and self.spine.weekday is not None
        declared = self.gate.block_length(self._looks_ahead)
        return max(declared, timedelta(days=7)) if weekly else declared

    @property
    def _looks_ahead(self) -> timedelta:
        return self.label.over if isinstance(self.label, Ahead) else timedelta(0)

    @property
    def evaluation_length(self) -> timedelta:
        """Length of the newest block that challengers are judged on."""
        return self.evaluation or max(2 * self.policy.every, _FEWEST_BLOCKS * self.block)

    @property
    def performance_length(self) -> timedelta:
        """Length of the fully labelled window on which the champion is watched."""
        return max(self.policy.every, _FEWEST_BLOCKS * self.block)

    @property
    def reference(self) -> str:
        """How flows name this model: `path/to/file.py:name`."""
        if self.path is None:
            raise ModelFileError(
                Path("<this session>"), "only a model that was loaded from a file can be named to a flow"
            )
        return f"{self.path}:{self.name}"

    @property
    def fitting(self) -> Any:
        """The estimator or fit function. Raises NotFittedError when there is none."""
        if self.fitter is None:
            raise NotFittedError(self.name)
        return self.fitter

    def fit(self, fitter: Any) -> Any:
        """Say what is fitted: an estimator, or (as a decorator) a function `fit(X, y, ...)` that returns one."""
        if not callable(fitter) and not hasattr(fitter, "fit"):
            raise SpecError("Model.fit(...)", fitter, "Give an estimator with fit, or decorate a function fit(X, y).")
        self.fitter = fitter
        return fitter


def _flat(features: Iterable[Any]) -> Iterable[Feature]:
    for view in features:
        if isinstance(view, (list, tuple)):
            yield from _flat(view)
        else:
            yield view


def load_model(reference: str | Path) -> Model:
    """Load a model by `path/to/file.py:name`, `path/to/file.py` or the folder with its `model.py`.

    Raises:
        ModelNotFoundError: no such file or model.
        ModelFileError: the file raises when it is run.
    """
    path, name = _split(str(reference))
    if not path.exists():
        raise ModelNotFoundError(path, name, ())
    module = _run(path)
    models = [value for value in vars(module).values() if isinstance(value, Model)]
    matching = [model for model in models if name is None or model.name == name or getattr(module, name, None) is model]
    if len(matching) != 1:
        raise ModelNotFoundError(path, name, (model.name for model in models))
    matching[0].path = path
    return matching[0]


def _split(reference: str) -> tuple[Path, str | None]:
    text, colon, name = reference.rpartition(":")
    path = Path(text if colon else reference).expanduser()
    path = path / "model.py" if path.is_dir() else path
    return path.resolve(), name if colon else None


def _run(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # a model file imports the reading beside it, as a script would
    spec = importlib.util.spec_from_file_location(f"incumbent_model_{abs(hash(path))}", path)
    if spec is None or spec.loader is None:
        raise ModelFileError(path, "it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except (FeatureStoreError, FlowsError, LifecycleError):
        raise  # these say themselves which field is wrong, and what to do
    except _MISTAKES as error:
        raise ModelFileError(path, _told(error, path)) from error
    return module


def _told(error: Exception, path: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}. Correct it there; `python {path}` shows the whole trace"
