"""What a worker and its shadow say to each other: one message a frame, its length first."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from mlflow_plugins.deployment.options import StoredModel

LENGTH = struct.Struct(">I")


class Load(msgspec.Struct, frozen=True, tag=True):
    """Score requests of this model by this version from now on."""

    stored: StoredModel


class Unload(msgspec.Struct, frozen=True, tag=True):
    """Nothing challenges this model any more."""

    model: str


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A request that was answered."""

    model: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def size(self) -> int:
        """Bytes that it holds, about."""
        return len(self.body) + 64 * len(self.headers)


class Questions(msgspec.Struct, frozen=True, tag=True):
    """Requests to be scored, oldest first."""

    questions: list[Question]


class Told(msgspec.Struct, frozen=True):
    """What became of a message.

    Attributes:
        scored, failed: requests that were answered 200, and those that were not.
        problem: why a version is not loaded.
    """

    scored: int = 0
    failed: int = 0
    problem: str | None = None


Message = Load | Unload | Questions
_encode = msgspec.msgpack.Encoder().encode
read_message = msgspec.msgpack.Decoder(Message).decode
read_told = msgspec.msgpack.Decoder(Told).decode


def frame_of(message: Message | Told) -> bytes:
    """A message as it is sent."""
    content = _encode(message)
    return LENGTH.pack(len(content)) + content


def next_frame(stream: BinaryIO) -> bytes | None:
    """The content of the next frame; none at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None
