"""What each window looked like, kept with the run that watched it: exact counts that add up over windows, and a series.

`profile.json` of two monitor runs of one version can be added, and the sum is the profile of both windows' rows.
"""

from __future__ import annotations

import pandas as pd

from flows.steps import Step
from flows.tasks import task
from flows.wiring import Reign
from monitoring.profile import ColumnProfile, NumberProfile, Profile

PROFILE = "profile.json"
"""Artifact of a monitor run: the window's profile in the bins of the champion's reference, as canonical text."""


@task("profile window")
def log_profile(step: Step, champion: Reign, current: pd.DataFrame) -> Profile:
    """Store what the champion saw and answered in the window; an empty window has a profile too, of 0 rows."""
    profile = Profile.of(current, champion.reference.profile.layout)
    step.run.text(profile.to_json(), PROFILE)
    return profile


def statistics(profile: Profile) -> dict[str, float]:
    """One point of the version's time series: `mean.COLUMN` and `null_share.COLUMN`, where there is one.

    A mean is of the finite values of a column of numbers; a null share needs a row.
    """
    found: dict[str, float] = {}
    for name, column in profile.columns:
        found |= {f"{kind}.{name}": value for kind, value in _of_column(column).items()}
    return found


def _of_column(column: ColumnProfile) -> dict[str, float]:
    if not column.rows:
        return {}
    shares = {"null_share": column.nulls / column.rows}
    return shares | {"mean": column.mean} if isinstance(column, NumberProfile) and column.values else shares
