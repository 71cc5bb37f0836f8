"""Figures: pure functions of data and theme."""
