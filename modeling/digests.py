"""The content of a model as one number: its fitted state, and its answers to golden rows.

Two skops files of one model differ, so a file digest compares nothing. This digest is over the values inside:
equal data, code and seed give an equal digest on any run, and a model that is read back has the digest it was
saved with.
"""

from __future__ import annotations

import hashlib
import struct
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

GOLDEN_ROWS = 32
# Which release, and how many threads a model was fitted with: neither changes what it answers.
_NOT_CONTENT = frozenset({"_sklearn_version", "n_threads", "n_jobs"})


def golden_rows(X: pd.DataFrame, n: int = GOLDEN_ROWS, *, seed: int = 0) -> pd.DataFrame:
    """Some rows whose predictions identify a model: drawn by seed, and one with nulls if there is one.

    Args:
        X: a prepared frame.
        n: how many rows; all, where the frame has fewer.
        seed: the same frame and seed give the same rows.
    """
    chosen = np.random.default_rng(seed).choice(len(X), min(n, len(X)), replace=False)
    nulls = X.isna().sum(axis=1).to_numpy()
    if len(X) and nulls.max() and not nulls[chosen].any():
        chosen[-1] = int(nulls.argmax())
    return X.iloc[np.sort(chosen)].reset_index(drop=True)


def model_digest(model: Any, golden: pd.DataFrame) -> str:
    """sha256 over the fitted state and the bytes of the golden predictions, as 64 hex digits.

    Raises:
        TypeError: the model holds an object that has no state to read.
    """
    digest = hashlib.sha256()
    digest.update(state_digest(model))
    digest.update(golden_answers(model, golden).tobytes())
    return digest.hexdigest()


def golden_answers(model: Any, golden: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the model says to the golden rows: probabilities where it gives them, else its prediction."""
    answer = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return np.ascontiguousarray(answer(golden), dtype=np.float64)


def state_digest(value: Any) -> bytes:
    """sha256 over a value and all that it holds; equal values of equal types have equal digests."""
    return _Traversal().digest(value)


class _Traversal:
    """One walk over an object; remembers what it is inside of, because estimators may refer to themselves."""

    def __init__(self) -> None:
        self._above: list[int] = []

    def digest(self, value: Any) -> bytes:
        if id(value) in self._above:
            return _hash("above", str(len(self._above) - self._above.index(id(value))).encode())
        self._above.append(id(value))
        try:
            return self._of(value)
        finally:
            self._above.pop()

    def _of(self, value: Any) -> bytes:
        if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
            return _scalar(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, (list, tuple)):
            return _hash("sequence", *(self.digest(item) for item in value))
        if isinstance(value, (set, frozenset)):
            return _hash("set", *sorted(self.digest(item) for item in value))
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc)):
            return _hash("name", f"{getattr(value, '__module__', '')}.{value.__name__}".encode())
        return self._object(value)

    def _array(self, array: np.ndarray[Any, Any]) -> bytes:
        shape = repr(array.shape).encode()
        if array.dtype.names:  # field by field: the padding between fields holds whatever memory held
            return _hash("record", shape, *(_hash(name, self._array(array[name])) for name in array.dtype.names))
        if array.dtype.hasobject:
            return _hash("objects", shape, *(self.digest(item) for item in array.ravel().tolist()))
        return _hash(array.dtype.str, shape, np.ascontiguousarray(array).tobytes())

    def _mapping(self, mapping: Mapping[Any, Any]) -> bytes:
        pairs = [(self.digest(key), item) for key, item in mapping.items() if key not in _NOT_CONTENT]
        return _hash("mapping", *(key + self.digest(item) for key, item in sorted(pairs, key=lambda pair: pair[0])))

    def _object(self, value: Any) -> bytes:
        """Anything else by its state, as pickle would take it, without making a pickle."""
        name = f"{type(value).__module__}.{type(value).__qualname__}".encode()
        if isinstance(value, np.random.Generator):
            return _hash("object", name, self.digest(value.bit_generator.state))
        if isinstance(value, np.random.RandomState):
            return _hash("object", name, self.digest(value.get_state(legacy=False)))
        reduced = value.__reduce_ex__(2)
        if isinstance(reduced, str):
            return _hash("object", name, reduced.encode())
        _, arguments, *rest = reduced
        parts = [list(part) if part is not None and place else part for place, part in enumerate(rest)]
        return _hash("object", name, self.digest(list(arguments)), *(self.digest(part) for part in parts))


def _scalar(value: Any) -> bytes:
    """By value, not by type: a number that was NumPy's may come back as Python's own."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return _hash("float", struct.pack("<d", plain))
    return _hash(type(plain).__name__, plain if isinstance(plain, bytes) else repr(plain).encode())


def _hash(kind: str, *parts: bytes) -> bytes:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
