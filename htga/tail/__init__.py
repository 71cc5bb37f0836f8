"""Tail-index estimation: estimators, the mergeable histogram, and the choice of k."""
