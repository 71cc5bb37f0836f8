"""HTTP without routes: the server, request bodies, responses, metrics and the access log.

Connections go in, responses come out. May import the floors below.
"""
