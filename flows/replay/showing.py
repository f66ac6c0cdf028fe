"""What a replay found, as tables in the shell."""

from __future__ import annotations

import polars as pl
from rich.console import Console
from rich.table import Table

from flows.replay.compare import Comparison
from flows.replay.summary import Month, Summary
from flows.showing import console
from lifecycle.moments import iso


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
