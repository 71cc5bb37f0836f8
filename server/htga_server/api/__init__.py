"""The routes, a module for each resource, and their dependencies.

Requests go in, JSON or Arrow comes out. May import every floor below.
"""
