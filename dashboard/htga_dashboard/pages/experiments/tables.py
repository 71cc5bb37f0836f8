"""The results of a study as a table of text, for the page, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from htga_client.statistics.paired_tests import Interval
from htga_dashboard.models.experiment import Report, Variant
from htga_dashboard.models.number_format import significant

DASH = "\N{EN DASH}"
PM = "\N{PLUS-MINUS SIGN}"


def headers(report: Report) -> list[str]:
    """Column headers of the table."""
    compared = f"{report.metric} to {report.baseline}"
    return ["variant", "seeds", *report.metrics, compared, "pairs", "p (Holm)"]


def row(variant: Variant, report: Report) -> list[str]:
    """The cells of one variant, one for each of `headers`."""
    is_baseline = variant.name == report.baseline
    return [
        variant.name,
        f"{len(variant.runs)}/{variant.of}",
        *(format_interval(variant.cells[key]) for key in report.metrics),
        "baseline" if is_baseline else format_interval(variant.difference),
        "" if is_baseline else f"{variant.pairs}/{variant.of}",
        "" if is_baseline else format_p(variant.p),
    ]


def format_interval(found: Interval | None) -> str:
    """A mean and half the width of its interval as text."""
    if found is None:
        return DASH
    if found.half is None:
        return f"{significant(found.mean)} (n = 1)"
    return f"{significant(found.mean, 3)} {PM} {significant(found.half, 2)}"


def format_p(p: float | None) -> str:
    """A p-value as text."""
    return DASH if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def to_csv(report: Report) -> str:
    """CSV with means, half widths and counts in separate columns."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    compared = [f"{report.metric} difference", "difference half width", "pairs", "p (Holm)"]
    cells = [part for key in report.metrics for part in (key, f"{key} half width", f"{key} n")]
    writer.writerow(["variant", "seeds", *cells, *compared])
    for variant in report.variants:
        found = [part for key in report.metrics for part in _numbers(variant.cells[key])]
        mean, half, _ = _numbers(variant.difference)
        seeds = len(variant.runs)
        writer.writerow([_text(variant.name), seeds, *found, mean, half, variant.pairs, variant.p])
    return sink.getvalue()


def to_markdown(report: Report) -> str:
    """The table of the page as Markdown."""
    lines = [headers(report), ["---"] * len(headers(report))]
    lines += [row(variant, report) for variant in report.variants]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _numbers(found: Interval | None) -> Sequence[float | int | None]:
    return (None, None, 0) if found is None else (found.mean, found.half, found.n)


def _text(name: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
