"""The judge: pandas' `merge_asof`, and `rolling` over flights and questions side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.asof_join_peers.question import ALL, JOINS, WINDOWS


def prepared(folder: Path, questions: str) -> Callable[[], pd.DataFrame]:
    """What answers the questions of a file with 20 features."""
    assert questions == ALL
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in (ALL, *JOINS)}
    return lambda: _features(frames)


def _features(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    found = frames[ALL].sort_values("as_of", kind="stable")
    for table, (keys, ttl) in JOINS.items():
        rows = frames[table].sort_values("event_time", kind="stable")
        found = pd.merge_asof(
            found, rows, left_on="as_of", right_on="event_time", by=keys, tolerance=pd.Timedelta(hours=ttl)
        ).drop(columns="event_time")
    return found.set_index("question").join(_windowed(frames)).sort_index().reset_index()


def _windowed(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    keys = ["carrier", "origin"]
    rows = frames["carrier"][[*keys, "carrier_arr_delay", "event_time"]]
    asked = frames[ALL][["question", *keys, "as_of"]].rename(columns={"as_of": "event_time"})
    # Flights before the questions of the same moment: a window holds what happened at its very end.
    both = pd.concat([rows, asked]).sort_values([*keys, "event_time"], kind="stable")
    delays = both.set_index("event_time").groupby(keys, sort=False)["carrier_arr_delay"]
    for hours in WINDOWS:
        means = delays.rolling(f"{hours}h", min_periods=1).mean()
        both[f"delay_{hours}h"] = means.to_numpy()
    wanted = both["question"].notna()
    index = pd.Index(both.loc[wanted, "question"].astype("int64"), name="question")
    return both.loc[wanted, [f"delay_{hours}h" for hours in WINDOWS]].set_index(index)
