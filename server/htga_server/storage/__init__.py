"""The database: tables, engines, one write thread, and bulk statements.

In: functions of a connection, and arrays to insert. Out: their results, after the commit.
Imports nothing above it; `problems` and `settings` only.
"""
