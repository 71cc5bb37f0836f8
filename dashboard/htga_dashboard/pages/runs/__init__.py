"""The page with the table of runs: search, groups, and actions on the selected runs.

A query such as `?q=state:running` comes in, rows of AG Grid go out.
"""
