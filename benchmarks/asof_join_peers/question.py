"""What every engine is asked: three joins, and the mean delay over three windows; 20 features in all.

Without any import, because the peers' environment reads it too.
"""

from __future__ import annotations

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FLOWN = ["dep_delay", "arr_delay", "air_time", "distance"]
JOINS = {"weather": (["origin"], 6), "carrier": (["carrier", "origin"], 24), "tail": (["tailnum"], 72)}
"""For each table the columns to join on and the ttl in hours."""
COLUMNS = {"weather": WEATHER, "carrier": FLOWN, "tail": FLOWN}
WINDOWS = [1, 6, 24]
"""Hours back from the question, over the flights of its carrier at its origin."""
JOINED = [f"{table}_{column}" for table in JOINS for column in COLUMNS[table]]
WINDOWED = [f"delay_{hours}h" for hours in WINDOWS]
ALL, FEW = "spine", "spine_20k"
"""The files of questions: every flight, and 20,000 of them."""
