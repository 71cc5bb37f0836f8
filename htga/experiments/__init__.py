"""The study behind HTGA: data sets, recipes, ablations and statistics."""
