"""Whether the packages that will be imported are Incumbent's own.

RoomsError
└── ForeignRoomError (ImportError)   a folder of somebody else's stands in for one of our packages
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows")


class RoomsError(Exception):
    """Base of what can be wrong with the packages themselves."""


class ForeignRoomError(RoomsError, ImportError):
    """A folder of somebody else's stands in for one of our packages."""

    def __init__(self, package: str, found: Path | None, ours: Path) -> None:
        super().__init__(
            f"Package {package!r} was found at {found}, but Incumbent's own is at {ours}. "
            f"A folder of that name hides it: run from another folder, or rename yours."
        )


def check_rooms() -> None:
    """Stop at once when a package of the same name hides one of ours.

    Raises:
        ForeignRoomError: names the folder that was found and the one that was meant.
    """
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != home / room:
            raise ForeignRoomError(room, found, home / room)
