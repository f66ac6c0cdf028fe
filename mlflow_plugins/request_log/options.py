"""How the request log is kept; handed to the workers as JSON with their other options."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Durability(StrEnum):
    """What an answer promises about its record."""

    ASYNC = "async"  # it will be written within a moment; a crash of the process loses that moment
    WRITE = "write"  # the system has it: no crash of the process loses it, a power cut may lose the last moment
    FSYNC = "fsync"  # the disk has it


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how requests are logged. Times are seconds.

    Attributes:
        folder: with a folder for each model; on a disk of this machine.
        roll_bytes, roll_seconds: when a segment is finished and the next begun; finished ones can be compacted.
        sync_seconds: how often what was written is brought to disk.
        redacted: columns of which no value is ever written.
    """

    folder: str
    durability: Durability = Durability.WRITE
    roll_bytes: int = 64 * 1024 * 1024
    roll_seconds: float = 300.0
    sync_seconds: float = 0.5
    redacted: tuple[str, ...] = ()
