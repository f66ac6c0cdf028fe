"""A notebook is made from its script, so the two cannot tell different stories."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]

SCRIPT = '''"""A tour, kept as a script."""
# %% [markdown]
# # A tour
# of *one* cell
# %%
print(6 * 7)
'''


def test_a_script_that_ran_becomes_a_notebook_without_its_outputs(tmp_path):
    script = tmp_path / "tour.py"
    script.write_text(SCRIPT)

    subprocess.run([sys.executable, ROOT / "infra" / "notebook.py", script], check=True, capture_output=True)

    notebook = nbformat.read(tmp_path / "tour.ipynb", as_version=4)
    prose, code = notebook.cells
    assert prose.source == "# A tour\nof *one* cell"
    assert code.source == "print(6 * 7)"
    assert code.outputs == []


def test_a_cell_that_raises_fails_and_writes_no_notebook(tmp_path):
    script = tmp_path / "tour.py"
    script.write_text("# %%\n1 / 0\n")

    result = subprocess.run(
        [sys.executable, ROOT / "infra" / "notebook.py", script], capture_output=True, text=True, check=False
    )

    assert result.returncode != 0
    assert "ZeroDivisionError" in result.stderr
    assert not script.with_suffix(".ipynb").exists()
