"""The page of an experiment: variants over seeds, with paired tests against a baseline.

A tag comes in, a table of variants, a forest plot and tables of settings go out.
"""
