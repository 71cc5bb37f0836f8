"""The database: tables, engines, one write thread, and bulk statements.

Functions of a connection go in; their results come out after the commit. Imports no floor above.
"""
