"""Live updates: subscribers of changes, which runs are viewed, how often a client may send.

Changes of all processes go in, server-sent events come out. May import the floors below.
"""
