from __future__ import annotations

import re

from htga_dashboard.figures import theme
from htga_dashboard.pages.run import load, report
from tests.support.series import histograms, run, series

HOSTILE = "</script><img src=x onerror=alert(1)>%s{0}"


def test_a_report_is_one_file_that_fetches_nothing_and_escapes_every_name() -> None:
    hostile = run(
        name=HOSTILE,
        project=HOSTILE,
        notes=HOSTILE,
        tags=(HOSTILE,),
        config={HOSTILE: HOSTILE},
        metrics=(HOSTILE,),
        summary=run().summary | {HOSTILE: 1.0},
    )
    values = series(
        [0], **{"alpha_hat": [1.4], "alpha_bar": [1.5], "grad_norm": [1.0], HOSTILE: [1.0]}
    )
    drawn = load.build(hostile, values, histograms({0: {0.5: 1}}), theme.LIGHT).figures
    written = report.to_html(hostile, drawn)
    assert "<img" not in written.split("</head>")[1]
    assert written.count("<script") - written.count("<script ") < 40
    tags = re.findall(r"<(?:script|link|img|iframe)[^>]*>", written.split("</head>")[1])
    assert not [tag for tag in tags if "src" in tag or "href" in tag]
    assert written.count('id="chart-') == len(drawn)
    for title in ("Tail index", "Gradient norm", "|gradient| over steps"):
        assert f"<h2>{title}</h2>" in written
