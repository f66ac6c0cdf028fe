"""Logs where there is too little room, or where somebody cuts its segments off, and tells what is left.

python bad_disk.py FOLDER DURABILITY [NUMBER-OF-RECORDS-AT-WHICH-TO-CUT]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import RequestNotLoggedError
from mlflow_plugins.request_log.options import Durability, LogOptions
from mlflow_plugins.request_log.reading import read_segment
from mlflow_plugins.request_log.segment import Finished, segments
from mlflow_plugins.request_log.writer import RequestLog, model_folder

RECORDS = 3_000


def main(folder: Path, durability: str, cut_at: int | None = None) -> None:
    columns = (Column("distance", Kind.DOUBLE),)
    served = Served("late", 3, 7, "", Tier.TYPED, columns, None, None, None, ())  # type: ignore[arg-type]
    log = RequestLog(LogOptions(folder=str(folder), durability=Durability(durability), sync_seconds=0.02))
    log.start()
    acknowledged = []
    for number in range(RECORDS):
        if number == cut_at:
            cut_off(folder)
        try:
            acknowledged.append(log.answered(served, [(float(number),)], b'{"predictions": [[0.75, 0.25]]}').decode())
        except RequestNotLoggedError:
            continue
    log.close()
    told = {"failed": log.failed, "lost": log.lost, "written": log.written}
    sys.stdout.write(json.dumps({**told, "acknowledged": acknowledged, "found": found_in(folder)}))


def cut_off(folder: Path) -> None:
    for path in segments(model_folder(folder, "late")):
        os.truncate(path, 0)


def found_in(folder: Path) -> list[str]:
    found = []
    for path in segments(model_folder(folder, "late")):
        taken = Finished.taken(path)
        assert taken is not None
        lines, torn = taken.lines()
        assert torn == 0
        found += [row["prediction_id"].rpartition(".")[0] for row in read_segment(taken.name, lines).predictions]
        taken.release()
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
