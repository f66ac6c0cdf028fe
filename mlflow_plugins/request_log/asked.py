"""What a record tells of its question beside what the model saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlflow_plugins.deployment.decoding import Values


class Asked(NamedTuple):
    """What a request says of its question beside what the model sees.

    Attributes:
        as_of: microseconds since 1970 (UTC) of the moment it is asked about; none where nobody said so.
        keys: the columns by which the entity is known, each with a value for each row.
    """

    as_of: int | None = None
    keys: Sequence[Values] = ()
