"""What takes more than the gradient of a step: measurements on a closure, at fixed weights.

In: an optimizer and a closure that computes the loss of one minibatch. Out: rows with the noise
between minibatches. May import `htga.tail` and the guard and the names of `htga.telemetry`.
"""
