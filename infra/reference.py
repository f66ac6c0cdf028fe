"""Write the reference pages that the code itself can tell, or check that they still say what the code says.

python infra/reference.py            # renew docs/reference/errors.md and command-line.md
python infra/reference.py --check    # exit code 1 where one is out of date
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incumbent.command import parser

FOLDER = Path("docs/reference")
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")

ERRORS = """\
# Errors

Every error of ours, by room. A message has three parts: what happened, the values, and what to do; the values
are attributes of the error too. Each room has one base class, and an error is also the built-in exception
that a caller would expect. What exit code the command makes of it: [exit codes](exit-codes.md).

Made from the source by `make docs`.
"""

COMMANDS = """\
# The command line

`MODEL` is a file, `path/to/file.py:name`, or the folder of a `model.py`; a `MOMENT` is ISO 8601 with a zone, for
example `2013-03-01T00:00Z`. The verbs of the loop are also methods of the model, in Python and in a notebook:
`late_flights.train(as_of="2013-03-01T00:00Z")`. All end with the same [exit codes](exit-codes.md).

Made from the source by `make docs`.
"""


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """An error as its class statement and docstring tell it."""

    name: str
    bases: tuple[str, ...]
    meaning: str


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with what would be written."""
    pages = {FOLDER / "errors.md": errors_page(), FOLDER / "command-line.md": commands_page(parser())}
    if arguments != ["--check"]:
        for path, page in pages.items():
            path.write_text(page, encoding="utf-8")
        return 0
    stale = [path for path, page in pages.items() if path.read_text(encoding="utf-8") != page]
    for path in stale:
        print(f"{path} does not say what the code says. Renew it: make docs")
    return 1 if stale else 0


def errors_page() -> str:
    """Every error class, a table a room."""
    return ERRORS + "".join(error_table(room, list(errors_of(room))) for room in ROOMS)


def errors_of(room: str) -> Iterator[ErrorClass]:
    """Each class of a room whose name ends in Error, in the order of the source; nothing is imported."""
    for path in sorted(Path(room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                meaning = cell((ast.get_docstring(node) or "").partition("\n\n")[0])
                yield ErrorClass(node.name, tuple(ast.unparse(base) for base in node.bases), meaning)


def error_table(room: str, errors: list[ErrorClass]) -> str:
    """The table of one room; none where it has no errors of its own."""
    if not errors:
        return ""
    rows = [f"| `{e.name}` | {', '.join(f'`{base}`' for base in e.bases)} | {e.meaning} |" for e in errors]
    return "\n".join([f"\n## {room}\n", "| error | is a | raised for |", "|---|---|---|", *rows, ""])


def cell(text: str) -> str:
    """Text as a Markdown table holds it."""
    return text.replace("\n", " ").replace("|", "\\|")


def commands_page(command: argparse.ArgumentParser) -> str:
    """Every verb with its arguments, in the order of `--help`."""
    verbs = list(verbs_of(command))
    rows = [f"| [`{name}`](#{name.replace(' ', '-')}) | {cell(told)} |" for name, told, _ in verbs]
    table = ["", "| verb | what it does |", "|---|---|", *rows, ""]
    return COMMANDS + "\n".join(table) + "".join(verb_section(*verb) for verb in verbs)


def verbs_of(command: argparse.ArgumentParser, prefix: str = "") -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, meaning and parser of every verb; of a verb that has verbs of its own, those."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                name, parser_of = f"{prefix}{choice.dest}", action.choices[choice.dest]
                inner = list(verbs_of(parser_of, f"{name} "))
                yield from inner or [(name, choice.help or "", parser_of)]


def verb_section(verb: str, told: str, command: argparse.ArgumentParser) -> str:
    """One verb: how it is written, and what each argument means."""
    arguments = [action for action in command._actions if action.dest != "help"]
    usage = " ".join(["incumbent", verb, *map(written, arguments)])
    rows = [f"| `{written(action).strip('[]')}` | {cell(action.help or '')} |" for action in arguments]
    table = ["| argument | what it means |", "|---|---|", *rows, ""] if rows else []
    return "\n".join(["", f"## {verb}", "", f"{told[:1].upper()}{told[1:]}.", "", "```", usage, "```", "", *table])


def written(action: argparse.Action) -> str:
    """An argument as one writes it, in brackets where it can be left out."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return {"?": f"[{value}]", "*": f"[{value} ...]"}.get(str(action.nargs), value)
    text = action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"
    return text if action.required else f"[{text}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
