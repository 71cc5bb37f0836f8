"""A run in a notebook: a link to its page and a small picture that grows with it.

In: rows, on the sender's threads. Out: HTML without scripts and without anything from elsewhere.
It may import IPython, where that is loaded already, and nothing of `htga`.
"""

from __future__ import annotations
