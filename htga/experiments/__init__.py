"""The study behind HTGA: data sets, recipes, ablations and statistics.

In: settings and seeds. Out: measurements, verdicts and charts. May import `htga.optim`,
`htga.levy`, `htga.tail` and `htga_client.statistics`.
"""
