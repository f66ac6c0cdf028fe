"""Tables and progress in the shell: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from flows.results import Listing, Result

_log = logging.getLogger("incumbent")
_WIDTH = 118  # where no terminal says otherwise


def quiet_logs() -> None:
    """One line a step on standard error; other people's libraries speak when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    _log.handlers, _log.propagate = [handler], False
    _log.setLevel(logging.INFO)
    # A filter, because importing Great Expectations sets the levels of its loggers anew.
    told_once = logging.getLogger("great_expectations.data_context.types.base")
    told_once.addFilter(lambda record: record.levelno >= logging.WARNING)


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar on a terminal, a log line a tick elsewhere. Called with how much is done, and what is next."""
    if not sys.stderr.isatty():
        last = -1

        def log(done: int, told: str) -> None:
            nonlocal last
            if done != last:
                _log.info("%s %d/%d %s", title, done, total, told)
            last = done

        yield log
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, told="")
        yield lambda done, told: bar.update(task, completed=done, told=told)


@contextmanager
def bars(log: logging.Logger | logging.LoggerAdapter[Any]) -> Iterator[Callable[[int, str, int, int], None]]:
    """Bars on a terminal, one below the other, a line of the log a call elsewhere.

    Called with the number of the bar, its title, how much is done, and of how much.
    """
    if not sys.stderr.isatty():
        yield lambda number, title, done, total: log.info("%s: %d of %d", title, done, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as drawn:
        tasks: dict[int, TaskID] = {}

        def draw(number: int, title: str, done: int, total: int) -> None:
            if number not in tasks:
                tasks[number] = drawn.add_task(title, total=total)
            drawn.update(tasks[number], completed=done, total=total)

        yield draw


def show_result(result: Result) -> None:
    """A result's facts as lines and its tables as tables."""
    out = console()
    out.print(" ".join(part for part in (result.verb, result.model, result.as_of) if part), markup=False)
    shown = result.rows()
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        out.print(f"  {name:<{width}}  {text}", markup=False, soft_wrap=True)
    for listing in result.tables():
        out.print(_drawn(listing))
    for name, url in result.links.items():
        out.print(f"  {name}: {url}", markup=False, soft_wrap=True)


def _drawn(listing: Listing) -> Table:
    """A table; columns in which no cell says anything are left out."""
    table = Table(title=listing.name, title_justify="left")
    told = [place for place in range(len(listing.columns)) if any(row[place] for row in listing.cells)]
    for place in told:
        table.add_column(listing.columns[place].replace("_", " "), overflow="fold")
    for row in listing.cells:
        table.add_row(*(Text(row[place]) for place in told))
    return table
