"""The `htga` command.

In: arguments and environment variables. Out: text or JSON. The only package that may import all
others; each command imports what it needs when it runs.
"""
