"""Walks of the flights example in processes of their own, as a person starts them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 1200  # seconds until a walk counts as hanging


@dataclass(frozen=True)
class Walk:
    """A backfill in a folder of its own."""

    folder: Path
    model: Path
    start: str
    end: str

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "incumbent.command", "backfill", str(self.model), "--json"),
            *("--from", self.start, "--to", self.end),
        ]

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it, in a process group of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("ab") as err:
            return subprocess.Popen(
                self.command, cwd=self.folder, stdout=out, stderr=err, env=self.environment, start_new_session=True
            )

    def finish(self) -> dict[str, Any]:
        """Run it to its end and read what it printed."""
        process = self.begin()
        code = process.wait(timeout=LIMIT)
        assert code == 0, (self.folder / "stderr").read_text()[-4000:]
        return dict(json.loads((self.folder / "stdout").read_text().splitlines()[-1]))

    @property
    def environment(self) -> Mapping[str, str]:
        free = {"INCUMBENT_SERVERS__PREFECT_PORT": "0", "INCUMBENT_SERVERS__MLFLOW_PORT": "0"}
        return {**os.environ, **free, "PYTHONPATH": str(ROOT)}

    def steps_done(self) -> int:
        """How many steps are noted as finished."""
        ledger = self.folder / ".incumbent" / "ledger.db"
        if not ledger.exists():
            return 0
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=30) as connection:
            try:
                return int(connection.execute("select count(*) from steps").fetchone()[0])
            except sqlite3.OperationalError:
                return 0  # the table is not made yet

    def records(self) -> list[tuple[str, bytes]]:
        """Every canonical decision record, oldest first."""
        with sqlite3.connect(self.folder / ".incumbent" / "ledger.db", timeout=30) as connection:
            return list(connection.execute("select decision_id, canonical from decisions order by position"))
