"""Write the reference pages that the code itself can tell, or check that they still say what the code says.

python infra/reference.py            # renew docs/reference/errors.md
python infra/reference.py --check    # exit code 1 where it is out of date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/reference/errors.md")
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")

HEAD = """\
# Errors

Every error of ours, by room. A message has three parts: what happened, the values, and what to do; the values
are attributes of the error too. Each room has one base class, and an error is also the built-in exception
that a caller would expect. What exit code the command makes of it: [exit codes](exit-codes.md).

Made from the source by `make docs`.
"""


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """An error as its class statement and docstring tell it."""

    name: str
    bases: tuple[str, ...]
    meaning: str


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with what would be written."""
    page = HEAD + "".join(section(room, list(errors_of(room))) for room in ROOMS)
    if arguments != ["--check"]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE} does not list the errors as the code has them. Renew it: make docs")
    return 1


def errors_of(room: str) -> Iterator[ErrorClass]:
    """Each class of a room whose name ends in Error, in the order of the source; nothing is imported."""
    for path in sorted(Path(room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                meaning = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
                yield ErrorClass(node.name, tuple(ast.unparse(base) for base in node.bases), meaning)


def section(room: str, errors: list[ErrorClass]) -> str:
    """The table of one room; none where it has no errors of its own."""
    if not errors:
        return ""
    rows = [f"| `{error.name}` | {kinds(error)} | {error.meaning} |" for error in errors]
    return "\n".join([f"\n## {room}\n", "| error | is a | raised for |", "|---|---|---|", *rows, ""])


def kinds(error: ErrorClass) -> str:
    """The base classes, as code."""
    return ", ".join(f"`{base}`" for base in error.bases)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
