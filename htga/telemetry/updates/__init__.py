"""The update that a step applies, measured from the weights before it and after it.

In: an optimizer, before its step and after it. Out: an `UpdateMeasurement` for the whole model and
for each layer, whose numbers another thread reads. May import `htga.tail` and `htga_client`.
"""
