"""What every online store is asked: ten numbers of an entity, five from each of two views.

The standard library alone, because the peers' environment reads it too.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

KEYS = 1_000_000
WINDOW_KEYS = 100_000
"""Records of windows are some 3 kB each, so that there are fewer of them."""
FEW_KEYS = 20_000
"""So few that most of what a read touches is in a cache; and what Feast materializes, as a million takes it minutes."""
SIZES = (1, 100)
"""Entities in a call."""
VIEWS, COLUMNS, HOURS = 2, 5, 24
TTL = timedelta(days=30)
WRITTEN = datetime(2013, 6, 1, tzinfo=UTC)
"""The hour at which everything was written; reads come twenty minutes later."""
ASKED = WRITTEN + timedelta(minutes=20)

Question = dict[str, int]


def names(view: int) -> list[str]:
    """The columns of a view."""
    return [f"view{view}_{column}" for column in range(COLUMNS)]


NAMES = [name for view in range(VIEWS) for name in names(view)]


def values(entity: int) -> tuple[float, ...]:
    """The ten numbers of an entity."""
    return tuple(entity + place / 16 for place in range(VIEWS * COLUMNS))


def calls(size: int, keys: int, count: int) -> list[list[Question]]:
    """So many calls for entities at random; the same in every process."""
    chosen = random.Random(size)
    return [[{"entity": entity} for entity in chosen.sample(range(keys), size)] for _ in range(count)]
