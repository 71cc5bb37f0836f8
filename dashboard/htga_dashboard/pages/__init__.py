"""The pages: each has a pure `layout`, a `read` that loads it, and `register` for its callbacks.

A URL comes in, components and figures go out. A page imports components and below, no other page.
"""
