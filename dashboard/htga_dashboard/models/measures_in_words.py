"""What to know of a measure before one reads it, for the tooltip of its card."""

from __future__ import annotations

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
MINUS = "\N{MINUS SIGN}"

NOISE = (
    "Two tail indices. alpha_hat, on the card before, compares the entries of one gradient: are"
    " those of a few weights far larger than the rest? noise_alpha compares minibatches: are the"
    " gradients of a few minibatches far off? It is the index of the stable law by which the noise"
    " averages out over minibatches: 2 for Gaussian noise, lower where single minibatches outweigh"
    " many. The theory of L\N{LATIN SMALL LETTER E WITH ACUTE}vy noise speaks of this one. The band"
    " is 1.96 standard errors. noise_hill is Hill's index of the entries of the noise,"
    " noise_norm_alpha that of its length over minibatches, which needs 40 of them."
)

NOISE_SCALE = (
    "tr(Sigma) / |G|\N{SUPERSCRIPT TWO} (McCandlish et al. 2018): a minibatch of so many samples"
    " has as much noise as gradient. Far below it a larger minibatch saves steps, far above it"
    " hardly any. Infinite where so few minibatches cannot tell the mean gradient from zero. It"
    " takes the variance to be finite: where noise_alpha is below 2, the result depends on the"
    " minibatches that were drawn."
)

NOISE_SLOPE = (
    "How the length of the noise falls with the size of the minibatch: the slope in logarithms."
    f" {MINUS}1/2 where its variance is finite, 1/{ALPHA} {MINUS} 1 where it is stable."
)

NOISE_SHARE = (
    "Share of weights whose noise over minibatches looks no heavier than Gaussian, by its kurtosis"
    " at a level of 5 %: 0.95 if all of it is Gaussian."
)

SHARPNESS = (
    "Largest eigenvalue of the Hessian of the loss: how sharply the loss bends in its sharpest"
    " direction. Gradient descent with a step above 2 / sharpness leaves a quadratic bowl. It is of"
    " the samples that the closure took, as exact as the column sharpness_error says, and depends"
    " on how a network is parameterised: two that compute the same may differ in it."
)

SPECTRA = (
    "Index of the eigenvalues of weight matrices, Hill over their upper half as WeightWatcher and"
    " AlphaDecay have it, a mean over layers. The dots of random weights are what the same formula"
    " gives for random matrices of the same shapes, 2.12 if square: only what is below them is more"
    " than chance."
)

UPDATE_RATIO = (
    "How far a step moves the weights, measured against how long they are: the l2 norm of what the"
    " step changed, over that of the weights before it. About 0.001 is common. Much less: training"
    " hardly moves, and in half precision most of it is rounded away. Much more: a step forgets"
    " what the last ones have learned. It counts the parameters that have a gradient."
)

DIRECTION = (
    "The update is what the step subtracts from the weights. 1: it goes straight down the gradient,"
    " as plain SGD does; 0: across it; below 0: up the gradient, for instance because momentum"
    " still goes on in an old direction. Adam, Lion and weight decay turn it, too."
    " momentum_cosine compares the mean of the earlier gradients with the new one, which is not in"
    " it yet: 1: gradients agree; 0: they have nothing in common, as when noise is all there is;"
    " below 0: the slope has turned, and a smaller learning rate may help."
)
