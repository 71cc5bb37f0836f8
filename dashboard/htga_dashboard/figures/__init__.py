"""Figures of plotly as plain dicts.

Series, histograms and a theme come in, dicts with `data` and `layout` go out. Pure functions;
imports models and source only.
"""
