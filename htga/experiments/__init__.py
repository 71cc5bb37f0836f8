"""The study behind HTGA: data sets, recipes, ablations and statistics.

In: settings and seeds. Out: measurements, verdicts and charts. May import `htga.optim`, `htga.levy`
and `htga.tail`.
"""
