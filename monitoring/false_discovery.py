"""Many columns looked at together: one in twenty is extreme by chance."""

from __future__ import annotations

import numpy as np

from monitoring.bins import Floats


def adjusted(p: Floats) -> Floats:
    """p-values adjusted so that those below q hold a share of false discoveries of at most q.

    Benjamini and Hochberg, "Controlling the false discovery rate", 1995. NaN is unknown, is not counted, and stays.

    Args:
        p: (..., columns).

    >>> adjusted(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    order = np.argsort(p, axis=-1)  # NaN at the end
    ranked = np.take_along_axis(p, order, axis=-1)
    known = (~np.isnan(p)).sum(-1, keepdims=True)
    scaled = ranked * known / np.arange(1, p.shape[-1] + 1)
    stepped = np.fmin.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    stepped = np.where(np.isnan(ranked), np.nan, np.minimum(stepped, 1.0))
    answer = np.empty_like(stepped)
    np.put_along_axis(answer, order, stepped, axis=-1)
    return answer
