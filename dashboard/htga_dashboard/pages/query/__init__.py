"""The page for SQL over the archive.

A SELECT comes in, a table of its first rows and a CSV file go out.
"""
