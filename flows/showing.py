"""Tables and progress in the shell: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lifecycle.moments import iso

if TYPE_CHECKING:
    from flows.replay.compare import Comparison
    from flows.replay.summary import Month, Summary
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


def show_summary(summary: Summary, reference: str) -> None:
    """The table by month, the totals, what was lost, refused and held back, and what to do next."""
    out = console()
    out.print(_months(summary))
    _totals(summary, out)
    if summary.months and not summary.lost:
        out.print("lost to never retraining: no month")
    for month in summary.lost:
        out.print(f"[yellow]lost[/] to never retraining in {month.month}: {_pair(month)}")
    for decision in summary.refused:
        out.print(f"[red]refused[/] {iso(decision.as_of)[:10]} {decision.action.reason}", soft_wrap=True)
    _quarantine(summary.quarantined, out)
    out.print(f"labels: {summary.waiting:,} still waiting, {summary.without:,} that never come (of {summary.rows:,})")
    first = next((d.decision_id for d in summary.decisions), "")
    out.print(
        f"\nnext: [bold]incumbent why {reference} {first}[/] · [bold]make ui[/] · [bold]incumbent init YOUR.csv[/]"
    )


def _months(summary: Summary) -> Table:
    names = list(summary.loop)
    table = Table(title=f"{summary.model}: the loop beside its first champion, never retrained", title_justify="left")
    table.add_column("month")
    for name in ("rows", "label", *(f"{name} {who}" for name in names for who in ("loop", "never")), "drift"):
        table.add_column(name, justify="right")
    table.add_column("actions")
    for month in summary.months:
        values = [f"{of.get(name, float('nan')):.4f}" for name in names for of in (month.loop, month.never)]
        label = f"{month.label_mean:.3f}" if month.label_mean is not None else ""
        table.add_row(month.month, f"{month.rows:,}", label, *values, str(month.drifted), month.actions)
    totals = [f"{of[name]:.4f}" for name in names for of in (summary.loop, summary.never)]
    rows, drifted = sum(month.rows for month in summary.months), sum(month.drifted for month in summary.months)
    table.add_section()
    table.add_row("all", f"{rows:,}", "", *totals, str(drifted), f"{len(summary.decisions)} decisions")
    return table


def _totals(summary: Summary, out: Console) -> None:
    if summary.difference is not None:
        d = summary.difference
        out.print(
            f"gain over never retraining: {d.value:+.4f}, {d.level:.0%} interval by day [{d.low:+.4f}, {d.high:+.4f}]"
            f" ({d.blocks} days, {d.rows:,} rows)",
            markup=False,
        )
    out.print(
        f"cost: {summary.trainings} trainings, {summary.fitted_rows:,} rows fitted in {summary.fit_seconds:.0f} CPU s; "
        f"{summary.promotions} promotions, {summary.rollbacks} rollbacks, {summary.holds} holds"
    )


def _pair(month: Month) -> str:
    name = next(iter(month.loop))
    return f"{name} {month.loop[name]:.4f} against {month.never[name]:.4f}"


def _quarantine(rows: pl.DataFrame, out: Console) -> None:
    out.print(f"quarantined: {rows.height} rows")
    for row in rows.head(20).iter_rows(named=True):
        out.print(f"  {row['source']}: {row['reason']}", markup=False)


def show_comparison(comparison: Comparison) -> None:
    """One line a policy."""
    table = Table(title=f"{comparison.model}: policies over the same history", title_justify="left")
    table.add_column("policy")
    names = list(comparison.rows[0].summary.loop) if comparison.rows else []
    for name in (*names, "gain over never", "95 % by day", "trainings", "promotions", "refused", "fit CPU s"):
        table.add_column(name, justify="right")
    for row in comparison.rows:
        s, d = row.summary, row.summary.difference
        gain = (f"{d.value:+.4f}", f"{d.low:+.4f} .. {d.high:+.4f}") if d else ("", "")
        values = [f"{s.loop[name]:.4f}" for name in names]
        counts = (str(s.trainings), str(s.promotions), str(len(s.refused)), f"{s.fit_seconds:.0f}")
        table.add_row(row.policy, *values, *gain, *counts)
    console().print(table)
