"""The page of the collector's health, its tokens and its alert rules.

The collector's status comes in, tables and the form of a rule go out.
"""
