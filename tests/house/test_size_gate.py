"""The size gate lets this repository through, and nothing that is over a limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATE = ROOT / "infra" / "size_gate.py"

LONG_FUNCTION = "def settle():\n" + "    pass\n" * 50
LONG_MODULE = "pass\n" * 401
GREEDY_FUNCTION = "def settle(self, a, b, c, *, d, e, f):\n    return a\n"
NESTED_METHOD = "class Ledger:\n    def settle(self):\n" + "        pass\n" * 50


def gate(*folders: str, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, GATE, *folders], cwd=at, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LONG_FUNCTION, "ledger/head.py:1: lines in settle: 51, the limit is 50"),
        (LONG_MODULE, "ledger/head.py:1: lines in this module: 401, the limit is 400"),
        (GREEDY_FUNCTION, "ledger/head.py:1: parameters of settle: 6, the limit is 5"),
        (NESTED_METHOD, "ledger/head.py:2: lines in settle: 51, the limit is 50"),
    ],
)
def test_what_is_over_a_limit_is_named_with_its_place_and_the_limit(tmp_path, text, complaint):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "head.py").write_text(text)

    result = gate("ledger", at=tmp_path)

    assert result.returncode == 1
    assert complaint in result.stdout.splitlines()


def test_what_is_exactly_at_the_limits_passes(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "head.py").write_text(
        "def settle(self, a, b, c, *, d, e):\n" + "    pass\n" * 49 + "pass\n" * 350
    )

    result = gate("ledger", at=tmp_path)

    assert result.returncode == 0, result.stdout


def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_success(tmp_path):
    result = gate("ledgre", at=tmp_path)

    assert result.returncode == 1
    assert "No such folder: ledgre" in result.stderr


def test_this_repository_passes():
    result = gate(at=ROOT)

    assert result.returncode == 0, result.stdout
