"""Models to files and back, without pickle, and only with types that somebody vouched for."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modeling.digests import golden_rows, model_digest
from modeling.errors import UnreadableModelError, UntrustedTypeError

__all__ = ["ALLOWED_TYPES", "golden_rows", "load", "model_digest", "refuse_untrusted", "save"]

ALLOWED_TYPES = frozenset(
    {
        "numpy.dtype",
        "sklearn._loss.link.Interval",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
    }
)
"""Types of fitted scikit-learn models that skops does not trust by itself. The list is in the code, because a
list inside a model file would let the model vouch for itself."""


# What skops and zipfile raise on a file that is cut short or altered.
_DAMAGE = (OSError, LookupError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def save(model: Any, path: Path) -> Path:
    """Write a fitted pipeline as a skops file; whether it may be loaded is for `load` to say."""
    import skops.io

    skops.io.dump(model, path)
    return path


def load(path: Path, *, extra_types: Iterable[str] = ()) -> Any:
    """Read a skops file; every type in it is looked at before anything is made.

    Args:
        path: the file.
        extra_types: types that the operator's settings vouch for.

    Raises:
        UntrustedTypeError: the file holds other types.
        UnreadableModelError: it is no skops file, damaged, or of another scikit-learn.
    """
    from sklearn.exceptions import InconsistentVersionWarning

    trusted = ALLOWED_TYPES | set(extra_types)
    refuse_untrusted(path, trusted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return _read(path, trusted)
        except InconsistentVersionWarning as error:
            raise UnreadableModelError(path, f"made with scikit-learn {error.original_sklearn_version}") from error


def refuse_untrusted(path: Path, trusted: Iterable[str]) -> None:
    """Look at the types of a skops file without making anything.

    Raises:
        UntrustedTypeError: the file holds types other than the trusted ones.
        UnreadableModelError: it is no skops file, or damaged.
    """
    import skops.io

    try:
        found = skops.io.get_untrusted_types(file=path)
    except _DAMAGE as error:
        raise UnreadableModelError(path, f"{type(error).__name__}: {error}") from error
    unknown = set(found) - set(trusted)
    if unknown:
        raise UntrustedTypeError(path, unknown)


def _read(path: Path, trusted: Iterable[str]) -> Any:
    import skops.io

    try:
        return skops.io.load(path, trusted=sorted(trusted))
    except _DAMAGE as error:
        raise UnreadableModelError(path, f"{type(error).__name__}: {error}") from error
