"""The reference says what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")
REFERENCE = [sys.executable, ROOT / "infra" / "reference.py"]


def test_every_error_class_is_in_the_reference():
    """Told by text, not by the generator, so that a fault of the generator shows."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()

    unlisted = {
        f"{path.relative_to(ROOT)}: {name}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"^class (\w+Error)\b", path.read_text(), re.MULTILINE)
        if f"`{name}`" not in page
    }

    assert unlisted == set(), "renew the page: make docs"


def test_the_reference_is_as_the_code_would_write_it():
    result = subprocess.run([*REFERENCE, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_an_error_without_an_entry_is_noticed(tmp_path):
    for room in ROOMS:
        (tmp_path / room).mkdir()
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    subprocess.run(REFERENCE, cwd=tmp_path, check=True)
    (tmp_path / "flows" / "errors.py").write_text('class LoopError(Exception):\n    """A loop undone."""\n')

    result = subprocess.run(
        [*REFERENCE, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "make docs" in result.stdout


def test_every_error_says_in_its_docstring_what_it_is_raised_for():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()

    assert re.findall(r"^\| `\w+` \| .* \|  \|$", page, re.MULTILINE) == []
