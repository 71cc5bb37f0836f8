"""What surrounds Dash on the wire: first document, scripts, compression, proxy, same-origin check.

ASGI requests come in, responses go out. Knows no page; imports figures and below.
"""
