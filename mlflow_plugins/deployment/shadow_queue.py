"""Requests that wait for the shadow: bounded in number and bytes, and the oldest make room."""

from __future__ import annotations

from collections import deque

from mlflow_plugins.deployment.shadow_messages import Question

MAX_BYTES = 64 * 1024 * 1024


class ShadowQueue:
    """A queue that never makes anybody wait.

    >>> queue = ShadowQueue(2)
    >>> [queue.put(Question("m", [], body)) for body in (b"1", b"2", b"3")]
    [0, 0, 1]
    >>> [question.body for question in queue.take(5)]
    [b'2', b'3']
    """

    def __init__(self, most: int, most_bytes: int = MAX_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[Question] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, question: Question) -> int:
        """Add a request; how many were dropped for it, itself where it is larger than the queue."""
        self._waiting.append(question)
        self._bytes += question.size
        dropped = 0
        while len(self._waiting) > self._most or self._bytes > self._most_bytes:
            self._pop()
            dropped += 1
        return dropped

    def take(self, most: int) -> list[Question]:
        """The oldest, in order."""
        return [self._pop() for _ in range(min(most, len(self._waiting)))]

    def _pop(self) -> Question:
        oldest = self._waiting.popleft()
        self._bytes -= oldest.size
        return oldest
