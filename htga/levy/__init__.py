"""Levy-stable noise and the stochastic differential equations driven by it."""
