"""Runs as Parquet, SQL over live and archived rows, and the removal of old rows.

A run id or a SELECT goes in, files or Arrow come out. May import the floors below.
"""
