"""The result of a query on its page: a table, downloads, and the same in Python."""

from __future__ import annotations

import dash_ag_grid as dag
import pyarrow as pa
from dash import html
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.pages.query import result_table

SHOWN = 1_000
"""Maximum number of rows on the page."""

SNIPPET = '''from htga_client import Client

table = Client("{url}").query("""
{sql}
""")  # a pyarrow.Table: .to_pandas(), or polars.from_arrow(table)'''

KINDS: dict[result_table.Format, str] = {"csv": "CSV", "parquet": "Parquet", "arrow": "Arrow"}
"""File formats for download."""


def result(table: pa.Table) -> list[Component]:
    """The number of rows, the downloads and the table."""
    count = table.num_rows
    more = " or more" if count == SHOWN else ""
    grid = dag.AgGrid(
        rowData=result_table.rows(table),
        columnDefs=result_table.columns(table),
        defaultColDef={"sortable": True, "resizable": True, "minWidth": 90, "flex": 1},
        dashGridOptions={"rowHeight": 36, "headerHeight": 38, "enableCellTextSelection": True},
        className="grid",
        style={"height": f"min({max(count, 1) * 36 + 42}px, 70dvh)"},
    )
    return [
        html.Header(
            [
                html.H2(f"{count:,} row{'' if count == 1 else 's'}{more}"),
                html.Span(f"The first {SHOWN:,} are shown." if more else ""),
                html.Div(
                    [
                        html.Button(name, id=ids.export(kind), className="button")
                        for kind, name in KINDS.items()
                    ],
                    className="exports",
                ),
            ],
            className="answer",
        ),
        grid,
    ]


def snippet(sql: str, url: str) -> Component:
    """The query as Python code."""
    return html.Details(
        [html.Summary("The same in Python"), html.Pre(SNIPPET.format(sql=sql.strip(), url=url))],
        className="card fold python",
    )


def refusal(reason: str) -> list[Component]:
    """The reason why there is no result."""
    return [
        html.Div(
            [html.H2("The query was not answered"), html.Pre(reason)],
            className="card refusal",
            role="alert",
        )
    ]
