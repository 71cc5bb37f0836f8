"""The page of one run: charts over steps, the tail at a step, layers, events, notes, settings.

A run's id and a query comes in; `view_state` says what the page shows, `load` builds its figures.
"""
