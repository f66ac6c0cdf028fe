"""Make a notebook from a script of `# %%` cells, and run it.

The script is what people edit, lint and review; the notebook beside it is made, and only when every cell ran. Its
outputs are left out, since they name moments and ports of one machine:

    python infra/notebook.py examples/flights/tour.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?.*\n", re.MULTILINE)
SECONDS_PER_CELL = 600


def main(script: Path) -> None:
    """Write the notebook beside the script once it ran; a cell that raises leaves the old notebook as it was."""
    NotebookClient(
        notebook_of(script), timeout=SECONDS_PER_CELL, resources={"metadata": {"path": str(Path.cwd())}}
    ).execute()
    nbformat.write(notebook_of(script), script.with_suffix(".ipynb"))


def notebook_of(script: Path) -> nbformat.NotebookNode:
    """The notebook of a script, not run yet."""
    notebook: nbformat.NotebookNode = new_notebook(cells=cells_of(script.read_text(encoding="utf-8")))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def cells_of(script: str) -> list[nbformat.NotebookNode]:
    """The cells of a script; their ids are their places, so that a new run changes outputs alone."""
    cells = []
    starts = list(CELL.finditer(script))
    for place, start in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(script)
        source = script[start.end() : end].strip()
        cell = new_markdown_cell(uncommented(source)) if start["kind"] else new_code_cell(source)
        cell["id"] = f"cell-{place}"
        cells.append(cell)
    return cells


def uncommented(source: str) -> str:
    """A comment block as the Markdown it holds."""
    return re.sub(r"^# ?", "", source, flags=re.MULTILINE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
