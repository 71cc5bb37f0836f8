"""The controller: from estimates of a tail to gamma and beta.

In: tail estimates and the controller's state. Out: the next state. May import `settings` and
`htga.tail`.
"""
