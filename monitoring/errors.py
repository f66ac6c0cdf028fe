"""What can go wrong while looking at what is happening.

MonitoringError
├── MissingColumnsError (LookupError)      a frame lacks columns that this look needs
├── UnknownLabelStateError (ValueError)    a label that is neither labelled, waiting nor never
├── NothingToReportError (ValueError)      a page without one column that could be compared
├── UnreadableReferenceError (ValueError)  a file that is no reference profile, or a damaged one
├── UnreadableProfileError (ValueError)    a text that is no profile of a window
├── LayoutMismatchError (ValueError)       profiles that were counted in different bins
└── UnreadableInstrumentsError (ValueError)  a file that holds nothing fitted on a reference, or a damaged one
"""

from __future__ import annotations

from collections.abc import Iterable


class MonitoringError(Exception):
    """Base of every error raised in this package."""


class MissingColumnsError(MonitoringError, LookupError):
    """A frame lacks columns that this look needs."""

    def __init__(self, what: str, missing: Iterable[str], present: Iterable[str]) -> None:
        self.missing = sorted(missing)
        super().__init__(
            f"{what} needs the columns {self.missing}, and the frame has {sorted(map(str, present))}. "
            f"Join them to the predictions first."
        )


class UnknownLabelStateError(MonitoringError, ValueError):
    """A label that is neither labelled, waiting nor never."""

    def __init__(self, found: Iterable[object], known: Iterable[str]) -> None:
        super().__init__(
            f"Label states {sorted(map(str, found))} are unknown; known are {sorted(known)}. "
            f"Name each label's state by one of those."
        )


class NothingToReportError(MonitoringError, ValueError):
    """A page without one column that could be compared."""

    def __init__(self, title: str, notes: Iterable[str]) -> None:
        super().__init__(
            f"Report {title!r} would be empty, no column could be compared: {list(notes)}. "
            f"Wait for more rows in the window, or look at the columns named here."
        )


class UnreadableReferenceError(MonitoringError, ValueError):
    """A file that is no reference profile, or a damaged one."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(
            f"{source} cannot be read as a reference profile: {problem}. "
            f"Restore it from the registered model version, or train again."
        )


class UnreadableInstrumentsError(MonitoringError, ValueError):
    """A file that holds nothing fitted on a reference, or a damaged one."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(
            f"{source} cannot be read as what was fitted on a version's reference window: {problem}. "
            f"Restore it from the registered model version, or train again."
        )


class UnreadableProfileError(MonitoringError, ValueError):
    """A text that is no profile of a window."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The text cannot be read as a window's profile: {problem}. Profile the window's rows again with the bins "
            f"of the version's reference."
        )


class LayoutMismatchError(MonitoringError, ValueError):
    """Profiles that were counted in different bins."""

    def __init__(self, what: str, one: object, other: object) -> None:
        super().__init__(
            f"Profiles of different {what} cannot be merged: {one} and {other}. Profile both windows with the bins of "
            f"the same version's reference."
        )
