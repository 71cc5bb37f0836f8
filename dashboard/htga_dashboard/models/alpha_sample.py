"""What the tail indices of runs are of, and in what they differ, in words.

Two indices can be compared if they look at the same share of the entries of the same thing, by the
same estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import Estimator, Run, Scope
from htga_dashboard.models.number_format import significant

ALPHA_KEYS = frozenset(
    {"alpha_hat", "alpha_bar", "alpha_stderr", "alpha_quarter", "alpha_fourfold"}
)
"""Keys that cannot be compared where the samples differ."""

TOLERANCE = 1.05
"""Ratio of two shares k / n up to which an index differs by less than its standard error."""

MAX_NAMES = 3
"""Number of runs that a sentence names."""

UNKNOWN = "not recorded, as in rows of older clients"

SCOPES = {
    Scope.GLOBAL: "the gradient of all parameters",
    Scope.GROUP: "each parameter group",
    Scope.TENSOR: "each tensor",
    Scope.RMS_NORMALISED: "all tensors, each divided by its root mean square",
    Scope.UPDATE_GLOBAL: "the base optimizer's update of all parameters",
    Scope.UPDATE_GROUP: "the base optimizer's update of each parameter group",
    Scope.UPDATE_TENSOR: "the base optimizer's update of each tensor",
    Scope.UPDATE_RMS_NORMALISED: "all updates, each tensor divided by its root mean square",
}

ESTIMATORS = {Estimator.HILL: "Hill", Estimator.BINNED_HILL: "Hill on a histogram"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphaSample:
    """What a run's latest alpha_hat is of.

    Attributes:
        share: k / n, the tail's share of the non-zero entries that were measured; None if unknown.
        is_sampled: Whether only a sample of the entries was measured; None if unknown.
        scope, estimator: In words.
    """

    share: float | None
    is_sampled: bool | None
    scope: str
    estimator: str


def alpha_sample(run: Run) -> AlphaSample | None:
    """What the latest alpha_hat of a run is of; None if it has none."""
    if "alpha_hat" not in run.summary:
        return None
    k, n, total = (run.summary.get(name) for name in ("k", "n", "n_total"))
    others = sum(run.summary.get(name) or 0 for name in ("n_zero", "n_nonfinite"))
    return AlphaSample(
        share=k / n if k and n else None,
        is_sampled=None if total is None or n is None else n + others < total,
        scope=_word(SCOPES, run.summary.get("scope")),
        estimator=_word(ESTIMATORS, run.summary.get("estimator")),
    )


def described(run: Run) -> str:
    """What the latest alpha_hat is of, in a few words; empty if the run does not say."""
    sample = alpha_sample(run)
    if sample is None or sample.share is None:
        return ""
    whole = {True: "of a sample", False: "of all entries", None: ""}[sample.is_sampled]
    return f"the largest {_percent(sample.share)} {whole}".strip()


def control_scope(run: Run) -> str:
    """What the controller of a run measures, in words; empty if it has none."""
    value = run.summary.get("control_scope")
    return "" if value is None else _word(SCOPES, value)


def differences(runs: Sequence[Run]) -> list[str]:
    """A sentence for each way in which the tail indices of runs are not of the same thing."""
    known = [(run.name or run.id, sample) for run in runs if (sample := alpha_sample(run))]
    shares = sorted(sample.share for _, sample in known if sample.share is not None)
    differ = bool(shares) and shares[-1] > TOLERANCE * shares[0]
    sentences = []
    if differ or 0 < len(shares) < len(known):
        what = "The tail is another share k / n of the entries"
        sentences.append(_sentence(what, [(name, _share(sample)) for name, sample in known]))
    for what, words in (
        ("The index is not of the same thing", [(name, x.scope) for name, x in known]),
        ("The estimator is not the same", [(name, x.estimator) for name, x in known]),
    ):
        if len({word for _, word in words}) > 1:
            sentences.append(_sentence(what, words))
    return sentences


def _sentence(what: str, words: Sequence[tuple[str, str]]) -> str:
    """`what`, with every word and the names of the runs to which it belongs."""
    by_word: dict[str, list[str]] = {}
    for name, word in words:
        by_word.setdefault(word, []).append(name)
    parts = [f"{word} ({_names(names)})" for word, names in by_word.items()]
    return f"{what}: {'; '.join(parts)}."


def _share(sample: AlphaSample) -> str:
    return UNKNOWN if sample.share is None else _percent(sample.share)


def _names(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    shown = ", ".join(names[:MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def _percent(share: float) -> str:
    return f"{significant(100 * share, 3)} %"


def _word(words: dict[Scope, str] | dict[Estimator, str], value: float | None) -> str:
    found = {int(code): text for code, text in words.items()}
    return UNKNOWN if value is None else found.get(int(value), f"unknown ({value:g})")
