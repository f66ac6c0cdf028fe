"""The size gate: how long a function or a module may be, and how many parameters a function may take.

Length and branching are what separates code that is easy to read from code that is not; ruff counts the
branching (C901), this counts the rest. Run by `make check`:

    python infra/size_gate.py [FOLDER ...]
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 400
MAX_PARAMETERS = 5

GATED_FOLDERS = (
    "lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent",
    "benchmarks", "examples", "infra",
)  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Offence:
    """Something larger than its limit, and where it stands."""

    path: Path
    line: int
    what: str
    found: int
    limit: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.found}, the limit is {self.limit}"


def main(folders: list[str]) -> int:
    """Print every offence, then one line of what is usual here; 1 where there is an offence."""
    modules = {path: path.read_text(encoding="utf-8") for path in modules_in(folders or GATED_FOLDERS)}
    offences = [offence for path, text in modules.items() for offence in offences_in(path, text)]
    for offence in offences:
        print(offence)
    print(usual_sizes(modules.values()))
    if offences:
        print(f"{len(offences)} over the limit. Split by concept: each part should have a name of the field.")
    return 1 if offences else 0


def modules_in(folders: Iterable[str]) -> list[Path]:
    """Every Python file under the folders, in order; refuses a folder that is not there."""
    missing = [folder for folder in folders if not Path(folder).is_dir()]
    if missing:
        sys.exit(f"No such folder: {', '.join(missing)} in {Path.cwd()}. Run at the top of the repository.")
    return sorted(path for folder in folders for path in Path(folder).rglob("*.py"))


def offences_in(path: Path, text: str) -> Iterator[Offence]:
    """Compare a module and each of its functions, nested ones too, with the limits."""
    lines = len(text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield Offence(path, 1, "lines in this module", lines, MAX_MODULE_LINES)
    for function in functions_in(text):
        if (length := lines_of(function)) > MAX_FUNCTION_LINES:
            yield Offence(path, function.lineno, f"lines in {function.name}", length, MAX_FUNCTION_LINES)
        if (count := parameters_of(function)) > MAX_PARAMETERS:
            yield Offence(path, function.lineno, f"parameters of {function.name}", count, MAX_PARAMETERS)


def functions_in(text: str) -> list[Function]:
    """All functions and methods of a module's text."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]


def lines_of(function: Function) -> int:
    """Lines from `def` to the last statement, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: Function) -> int:
    """Parameters a caller may write; `self`, `cls`, `*args` and `**kwargs` are not counted."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in named)


def usual_sizes(texts: Iterable[str]) -> str:
    """One line for the reader: how large modules and functions usually are."""
    texts = list(texts)
    modules = [len(text.splitlines()) for text in texts]
    functions = [lines_of(function) for text in texts for function in functions_in(text)]
    return f"{len(modules)} modules, {middle(modules)}; {len(functions)} functions, {middle(functions)}"


def middle(sizes: list[int]) -> str:
    """Median and 95th percentile of some line counts."""
    if not sizes:
        return "no lines"
    ninety_fifth = sorted(sizes)[int(0.95 * (len(sizes) - 1))]
    return f"median {statistics.median(sizes):.0f} and 95th percentile {ninety_fifth} lines"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
