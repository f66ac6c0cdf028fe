"""A small binary problem with two times: questions over some weeks, each answered six hours later.

`signal` decides; `drift_from` moves its distribution, `flip_from` turns its meaning around, so that a champion
trained before either is wrong after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

import numpy as np
import polars as pl

START = datetime(2021, 3, 1, tzinfo=UTC)  # a Monday
WEEK = timedelta(days=7)
QUICK = 'Policy(every="7d", retrain=drifted().for_(2) | worse("20%"), rollback=worse("20%"), min_labels=100)'
LINEAR = "make_pipeline(StandardScaler(), LogisticRegression())"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the questions are like. `drift_from` and `flip_from` name the first changed week after `START`."""

    weeks: int = 8
    rows: int = 4000
    seed: int = 1
    drift_from: int | None = None
    flip_from: int | None = None


def week(number: float) -> datetime:
    """The moment so many weeks after the first question."""
    return START + number * WEEK


def ask(shape: Shape) -> pl.DataFrame:
    """One row a question: `id`, `asked_at`, `signal`, `noise`, `origin`, `won` and `answered_at`."""
    rng = np.random.default_rng(shape.seed)
    seconds = np.sort(rng.choice(int(shape.weeks * WEEK.total_seconds()), shape.rows, replace=False))
    number = seconds / WEEK.total_seconds()
    signal = rng.normal(size=shape.rows) + 3.0 * _since(shape.drift_from, number)
    meaning = np.where(_since(shape.flip_from, number), -2.5, 2.5)
    won = rng.random(shape.rows) < 1 / (1 + np.exp(-meaning * signal))
    asked = pl.Series("asked_at", [START + timedelta(seconds=int(s)) for s in seconds], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "id": np.arange(shape.rows),
            "asked_at": asked,
            "signal": signal,
            "noise": rng.normal(size=shape.rows),
            "origin": rng.choice(["east", "north", "west"], shape.rows),
            "won": won,
        }
    ).with_columns(answered_at=pl.col("asked_at") + timedelta(hours=6))


def _since(start: int | None, number: np.ndarray) -> np.ndarray:
    return np.zeros(len(number), bool) if start is None else number >= start


MODEL_FILE = Template('''"""Will the question be won?"""

from pathlib import Path

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from incumbent import *

questions = Source(
    "questions", read=lambda: pl.read_parquet(Path(__file__).parent / "questions.parquet"), key="id",
    event_time="asked_at", available_at="asked_at", later={"answered_at": ["won"]}, $source
)
model = Model(
    "$name", owner="ops@example.com", purpose="a test", task="binary", spine=each(questions, as_of="asked_at"),
    label=Label("won", deadline="1d"), features=[$features], gate=$gate, policy=$policy, evaluation="14d",
    recent="$recent",
)
model.fit($estimator)
''')


def write_small_model(folder: Path, shape: Shape | None = None, **parts: str) -> Path:
    """Write `model.py` and the questions it reads into a folder; the path of the model file.

    Args:
        parts: `name`, `source` (its further arguments), `features`, `gate`, `policy`, `recent` or `estimator`, as text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ask(shape or Shape()).write_parquet(folder / "questions.parquet")
    usual = {
        "name": "small",
        "source": "",
        "features": 'request("signal", "noise")',
        "gate": 'Gate("brier")',
        "policy": QUICK,
        "recent": "60d",
        "estimator": LINEAR,
    }
    path = folder / "model.py"
    path.write_text(MODEL_FILE.substitute(usual | parts))
    return path
