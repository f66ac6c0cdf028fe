"""The reference says what the code says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from incumbent.command import parser

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


@pytest.mark.golden
def test_the_reference_is_as_the_code_would_write_it():
    if os.environ.get("INCUMBENT_GOLDEN") == "renew":
        subprocess.run(REFERENCE, cwd=ROOT, check=True)

    result = subprocess.run([*REFERENCE, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_an_error_without_an_entry_is_noticed(tmp_path):
    for room in ROOMS:
        (tmp_path / room).mkdir()
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    subprocess.run(REFERENCE, cwd=tmp_path, check=True)
    (tmp_path / "flows" / "errors.py").write_text('class LoopError(Exception):\n    """A loop undone."""\n')

    result = subprocess.run([*REFERENCE, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "make docs" in result.stdout


def test_every_error_says_in_its_docstring_what_it_is_raised_for():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()

    assert re.findall(r"^\| `\w+` \| .* \|  \|$", page, re.MULTILINE) == []


def test_every_command_in_the_documents_is_one_that_the_parser_takes(capsys):
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    commands = {(path.name, line) for path in documents for line in commands_in(path)}

    refused = []
    for name, line in sorted(commands):
        try:
            parser().parse_args(shlex.split(line, comments=True)[1:])
        except SystemExit:
            refused.append(f"{name}: {line}: {capsys.readouterr().err.splitlines()[-1]}")

    assert len(commands) > 5
    assert refused == []


def commands_in(document: Path) -> list[str]:
    """Lines of code blocks that call the command; usage lines of the reference, in capitals, are no calls."""
    if document.name == "command-line.md":
        return []
    blocks = re.findall(r"^```\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("incumbent ")]
