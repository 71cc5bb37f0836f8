"""Components that several pages share, and the id of every component.

Text, options and figures come in, Dash components go out. No callback and no I/O; imports figures
and below.
"""
