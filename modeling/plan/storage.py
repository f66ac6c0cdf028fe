"""A plan as a file of arrays: nothing in it is code, and nothing is believed.

Machine code reads arrays without looking at their bounds, so a file is checked to the last index before it becomes a
plan: children lie behind their parents, every place lies inside its array.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling.errors import UnreadablePlanError
from modeling.plan.features import Codes, Op, Program
from modeling.plan.links import NAMES, Link
from modeling.plan.plan import Linear, Plan
from modeling.plan.trees import CATEGORICAL, MISSING_LEFT, NODE, WORDS, Trees

MAX_BYTES = 1 << 30
"""A plan that unpacks to more is refused before it is unpacked."""

Arrays = Mapping[str, NDArray[Any]]
_PROGRAM = ("source", "starts", "ops", "values", "tables")
_TREES = ("nodes", "answers", "roots", "outputs", "leaves", "sets", "base")
_LINEAR = ("weights", "intercept")
_INTEGERS = {"source": "<i4", "starts": "<i4", "ops": "<i4", "roots": "<i4", "outputs": "<i4", "sets": "<u4"}


def to_bytes(plan: Plan) -> bytes:
    """An npz file; the same plan gives the same bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **to_arrays(plan))  # type: ignore[arg-type]  # NumPy's stub takes the names for flags
    return file.getvalue()


def from_bytes(content: bytes) -> Plan:
    """Read an npz file; no pickle, and not more than `MAX_BYTES`.

    Raises:
        UnreadablePlanError: it is no plan, or one that does not hold together.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise UnreadablePlanError(f"it unpacks to {size:,} bytes, more than {MAX_BYTES:,}")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UnreadablePlanError):
            raise
        raise UnreadablePlanError(f"{type(error).__name__}: {error}") from error
    return from_arrays(arrays)


def to_arrays(plan: Plan) -> dict[str, NDArray[Any]]:
    """The plan as named arrays, with its names as JSON text in bytes."""
    program, model = plan.program, plan.model
    names = _PROGRAM, (_TREES if isinstance(model, Trees) else _LINEAR)
    arrays = {name: getattr(owner, name) for owner, each in zip((program, model), names, strict=True) for name in each}
    header = {
        "columns": plan.columns,
        "kinds": plan.kinds,
        "links": [[link.name, *link.constants] for link in plan.links],
        "inputs": program.inputs,
        "codes": {place: [list(codes.places.items()), codes.odd] for place, codes in program.codes.items()},
        **({"depth": model.depth} if isinstance(model, Trees) else {"by_column": model.by_column}),
    }
    return {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}


def from_arrays(arrays: Arrays) -> Plan:
    """The plan of named arrays.

    Raises:
        UnreadablePlanError: an array is missing, of another type, or points outside of another.
    """
    try:
        header = json.loads(arrays["header"].tobytes())
        plan = _plan(header, arrays)
        _check_program(plan)
        if isinstance(plan.model, Trees):
            _check_trees(plan.model, plan.program.source.size)
        else:
            _require(plan.model.weights.shape[:1] == (plan.program.source.size,), "weights of other features")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, UnreadablePlanError):
            raise
        raise UnreadablePlanError(f"{type(error).__name__}: {error}") from error
    return plan


def _plan(header: Mapping[str, Any], arrays: Arrays) -> Plan:
    typed = {name: _typed(name, array) for name, array in arrays.items() if name != "header"}
    program = Program(
        inputs=tuple(int(column) for column in header["inputs"]),
        codes={int(place): _codes(header, int(place), *stored) for place, stored in header["codes"].items()},
        **{name: typed[name] for name in _PROGRAM},
    )
    model: Trees | Linear
    if "depth" in header:
        model = Trees(depth=int(header["depth"]), **{name: typed[name] for name in _TREES})
    else:
        model = Linear(typed["weights"], typed["intercept"], bool(header["by_column"]))
    links = tuple(Link(str(name), tuple(map(float, constants))) for name, *constants in header["links"])
    return Plan(tuple(header["columns"]), tuple(header["kinds"]), program, model, links)


def _codes(header: Mapping[str, Any], place: int, pairs: Any, odd: Any) -> Codes:
    places = {key: int(known) for key, known in pairs}
    first, second, third = map(int, odd)
    return Codes(int(header["inputs"][place]), places, (first, second, third))


def _typed(name: str, array: NDArray[Any]) -> NDArray[Any]:
    wanted = NODE if name == "nodes" else np.dtype(_INTEGERS.get(name, "<f8"))
    _require(array.dtype == wanted, f"{name} is {array.dtype}, not {wanted}")
    flat = name not in ("leaves", "sets", "weights", "intercept")
    _require(not flat or array.ndim == 1, f"{name} has {array.ndim} dimensions")
    return array if name in _LINEAR else np.ascontiguousarray(array)


def _check_program(plan: Plan) -> None:
    program = plan.program
    _require(len(plan.columns) == len(plan.kinds), "columns without kinds")
    _require(set(plan.kinds) <= {"text", "number"}, "unknown kinds")
    _require({link.name for link in plan.links} <= NAMES, "unknown links")
    _require(all(0 <= column < len(plan.columns) for column in program.inputs), "inputs outside of the columns")
    _within("source", program.source, len(program.inputs))
    _within("ops", program.ops, len(Op))
    starts = program.starts
    _require(starts.size == program.source.size + 1 and starts[0] == 0, "starts of other features")
    _require(bool((np.diff(starts) >= 0).all()) and starts[-1] == program.ops.size, "starts out of order")
    _require(program.values.size == program.ops.size, "values of other steps")
    for feature in range(program.source.size):
        _check_feature(program, feature)


def _check_feature(program: Program, feature: int) -> None:
    """A place in a table is looked up first, and never again; a number is never looked up."""
    steps = slice(program.starts[feature], program.starts[feature + 1])
    looked_up = program.ops[steps] == Op.TABLE
    codes = program.codes.get(int(program.source[feature]))
    if codes is None:
        _require(not looked_up.any(), f"feature {feature} looks a number up")
        return
    _require(looked_up.sum() == 1 and bool(looked_up[0]), f"feature {feature} does not look its category up")
    places = [*codes.places.values(), *codes.odd]
    _require(all(known in (-1, place) for place, known in enumerate(places)), f"places of feature {feature}")
    start = float(program.values[steps][0])
    _require(start.is_integer() and 0 <= start <= program.tables.size - len(places), f"table of feature {feature}")


def _check_trees(trees: Trees, features: int) -> None:
    nodes, k = trees.nodes, trees.base.size
    own = np.arange(nodes.size)
    leaf = nodes["child"] == own
    still = (nodes["value"] == np.inf) & (nodes["flags"] == MISSING_LEFT)
    _require(nodes.size > 0 and k > 0 and trees.depth >= 0, "no trees")
    _require(bool(still[leaf].all()), "a leaf that is left again")
    _require(bool((nodes["child"] >= own).all()), "a child before its parent")
    _within("child", nodes["child"][~leaf], nodes.size - 1)
    _within("feature", nodes["feature"], features)
    _within("roots", trees.roots, nodes.size)
    _require(trees.answers.size == nodes.size, "answers of other nodes")
    _require(trees.outputs.size in (0, trees.roots.size), "outputs of other trees")
    _within("outputs", trees.outputs, k)
    _require(trees.leaves.ndim == 2 and trees.leaves.shape[1] == k, "leaves of other scores")
    _require(trees.sets.ndim == 2 and trees.sets.shape[1] == WORDS, "sets of other categories")
    if not trees.outputs.size:
        _within("answers", trees.answers, len(trees.leaves))
    _within("sets", nodes["value"][(nodes["flags"] & CATEGORICAL) != 0], len(trees.sets))


def _within(name: str, places: NDArray[Any], size: int) -> None:
    _require(bool(((places >= 0) & (places < size)).all()), f"{name} outside of 0 to {size - 1}")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise UnreadablePlanError(problem)
