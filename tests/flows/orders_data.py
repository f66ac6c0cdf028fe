"""Orders of a small shop: customers who come about every so many days, some of them more and more seldom."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from string import Template

import numpy as np
import polars as pl

MONDAY = datetime(2011, 3, 7)  # noqa: DTZ001 - the shop's clock; Source.tz says whose it is
CUSTOMERS = 120


def orders(weeks: int = 20, seed: int = 3) -> pl.DataFrame:
    """Lines of orders: two for each visit, one in ten of them a return, some without a customer."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(CUSTOMERS):
        pace, day = rng.choice([3.0, 40.0]), rng.uniform(0, 10)
        while day < weeks * 7:
            at = MONDAY + timedelta(days=day, hours=float(rng.uniform(0, 3)))
            letter = "C" if rng.random() < 0.1 else ""
            invoice = f"{letter}{customer:04d}{int(day * 24):05d}"
            known = None if rng.random() < 0.02 else customer
            rows += [(invoice, at.replace(microsecond=0), known, line, int(rng.integers(1, 9)), 2.5) for line in "ab"]
            day += max(0.5, rng.exponential(pace))
    columns = ["Invoice", "InvoiceDate", "Customer ID", "StockCode", "Quantity", "Price"]
    return pl.DataFrame(rows, schema=columns, orient="row").sort("InvoiceDate", "Invoice")


MODEL_FILE = Template('''"""Each customer, every Monday: will they buy within $over?"""

from pathlib import Path

import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from incumbent import ALL, Gate, Model, Policy, Source, after, ahead, col, every, older, recency, seen, window, worse


def read_orders():
    return pl.read_parquet(Path(__file__).parent / "orders.parquet")


orders = Source(
    "orders", read=read_orders, key=ALL, event_time="InvoiceDate", tz="Europe/London",
    available_at=after("InvoiceDate", "1h"), entity="Customer ID", keep=col("Customer ID").is_not_null(),
    derive={"revenue": col("Quantity") * col("Price"), "returned": col("Invoice").str.starts_with("C")},
)
bought = orders.where(~col("returned"))
repurchase = Model(
    "repurchase", owner="crm@example.com", purpose="whom to send the Monday offer", task="binary",
    spine=every("mon 06:00", seen(bought, within="180d"), tz="Europe/London"),
    label=ahead(bought, col("Invoice").len() > 0, over="$over", allowed_lateness="1d"),
    features=[recency(bought),
              window(bought, spent=col("revenue").sum(), visits=col("Invoice").n_unique(), over=["7d", "30d", "180d"]),
              window(orders, returned=col("returned").mean(), over="180d")],
    gate=Gate("brier"), policy=Policy(every="7d", retrain=worse("5%") | older("90d"), min_labels=100),
)
repurchase.fit(make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()))
''')


def write_orders(folder: Path, *, over: str = "7d") -> Path:
    """Write `model.py` and `orders.parquet` into a folder; the path of the model file."""
    orders().write_parquet(folder / "orders.parquet")
    path = folder / "model.py"
    path.write_text(MODEL_FILE.substitute(over=over))
    return path
