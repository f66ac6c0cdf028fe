"""Evidence gathered over windows: small drift that no single window shows adds up.

A Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo, "E-detectors", 2023): each window multiplies what was gathered,
plus one for a drift that begins now, by how much better the window agrees with a drift than with none. Without drift
its mean grows by one a window, so that it is rarely large; with drift it grows without bound.
"""

from __future__ import annotations

import numpy as np

from monitoring.bins import Floats

DRIFTS = np.array([1.0, 2.0, 4.0])
"""Sizes of drift that it looks for, in standard errors of one window."""

_LARGEST = 1e200


def gathered(before: Floats, scores: Floats) -> Floats:
    """What is gathered after one more window.

    Args:
        before: (..., 2), of drift upwards and downwards; zeros before the first window.
        scores: (...), standard normal without drift.

    Returns:
        (..., 2).
    """
    both_ways = np.stack([scores, -scores], axis=-1)[..., None]
    likelihood = np.exp(np.clip(DRIFTS * both_ways - DRIFTS**2 / 2, -700, 600)).mean(-1)
    return np.asarray(np.minimum((1 + before) * likelihood, _LARGEST))
