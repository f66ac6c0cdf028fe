"""The page of a validation for a person: one HTML file without script, style sheet or picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from feature_store.definitions.suite import NOTE, STOP
from feature_store.intake.intake import IngestResult
from feature_store.intake.validation import CheckResult

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--soft:#61707f;--line:#d9e0e6;--paper:#fff;--card:#f6f8fa;
--good:#2b7a4b;--note:#a66300;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b3;--line:#36424d;--paper:#14191e;--card:#1c2329;
--good:#67c08b;--note:#e0a04a;--bad:#f0827a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;
padding:0 1.5rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .4rem}p{margin:.3rem 0}
.soft{color:var(--soft)}.good{color:var(--good)}.note{color:var(--note)}.bad{color:var(--bad)}
.verdict{font-weight:600}
ul.figures{display:flex;flex-wrap:wrap;gap:.6rem;list-style:none;padding:0;margin:.8rem 0}
ul.figures li{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.35rem .8rem}
ul.figures b{display:block;font-size:1.2rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;margin:.6rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft)}td:first-child,td:last-child{white-space:nowrap}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--soft)}
"""


def validation_page(title: str, batches: Mapping[str, IngestResult]) -> str:
    """Write the page of the batches of some sources, in their order.

    Args:
        title: model and moment.
        batches: what became of each source's batch, by its name.
    """
    sections = "".join(_section(source, result) for source, result in batches.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{sections}</body></html>\n"
    )


def _section(source: str, result: IngestResult) -> str:
    failed = [one for one in result.checks if not one.passed]
    passed = [one for one in result.checks if one.passed]
    parts = [f"<h2>{escape(source)}</h2>", _verdict(result, failed), _figures(result)]
    parts.append(_table(failed) if failed else "")
    parts.append(_reasons(result.reasons) if result.reasons else "")
    if result.unexpected_columns:
        parts.append(f'<p class="note">New columns, not stored: {escape(", ".join(result.unexpected_columns))}</p>')
    if passed:
        parts.append(f"<details><summary>{len(passed)} expectations held</summary>{_table(passed)}</details>")
    return "".join(parts)


def _verdict(result: IngestResult, failed: Sequence[CheckResult]) -> str:
    suite = f"suite {result.suite}" if result.suite else "no suite beside the model file"
    if result.stopped:
        guilty = dict.fromkeys(one.column or "the batch as a whole" for one in failed if one.otherwise == STOP)
        told, kind = f"Refused, and nothing of it was stored: {', '.join(guilty) or result.stopped}", "bad"
    elif failed:
        told, kind = f"Taken in; {len(failed)} of {len(result.checks)} expectations did not hold", "note"
    elif result.checks:
        told, kind = f"Taken in; all {len(result.checks)} expectations held", "good"
    else:
        told, kind = ("Taken in; nothing was expected of it", "soft") if result.appended else ("No new rows", "soft")
    return f'<p class="verdict {kind}">{escape(told)}</p><p class="soft">{escape(suite)}</p>'


def _figures(result: IngestResult) -> str:
    figures = {
        "rows so far": result.rows,
        "new": result.appended,
        "filled in later": result.filled,
        "quarantined": result.quarantined,
        "known already": result.already_known,
        "not its business": result.dropped,
    }
    shown = {name: count for name, count in figures.items() if count or name in {"rows so far", "new", "quarantined"}}
    items = "".join(f"<li><b>{count:,}</b>{name}</li>" for name, count in shown.items())
    return f'<ul class="figures">{items}</ul>'


def _table(checks: Sequence[CheckResult]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.column or 'all columns')}</td><td>{escape(one.observed)}</td>"
        f'<td>{escape(one.expected)}<br><span class="soft">{escape(one.why)}</span></td>{_mark(one)}</tr>'
        for one in checks
    )
    return f"<table><tr><th>column</th><th>found</th><th>expected, because</th><th></th></tr>{rows}</table>"


def _mark(one: CheckResult) -> str:
    if one.passed:
        return '<td class="good">held</td>'
    told = {STOP: "stops the batch", NOTE: "noted"}.get(one.otherwise, one.otherwise)
    return f'<td class="{"bad" if one.otherwise == STOP else "note"}">{escape(told)}</td>'


def _reasons(reasons: Mapping[str, int]) -> str:
    rows = "".join(f"<tr><td>{count:,}</td><td>{escape(reason)}</td></tr>" for reason, count in reasons.items())
    return f"<table><tr><th>rows</th><th>what was the matter with them</th></tr>{rows}</table>"
