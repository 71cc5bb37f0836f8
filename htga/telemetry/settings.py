"""Settings from arguments, environment variables or defaults, and their validation."""

from __future__ import annotations

import contextlib
import difflib
import operator
import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from htga.telemetry.closures.measurements import NoiseSchedule, check_closure
from htga.telemetry.config import config_of
from htga.telemetry.probe import SAMPLE, UPDATES_EVERY
from htga_client import wire
from htga_client.run_ids import uuid7
from htga_client.url import DEFAULT_URL, checked_url, without_password
from htga_client.wire.json_codec import to_jsonable
from htga_client.wire.text import as_text, shown

T = TypeVar("T", bound=str)

MODES = ("online", "offline", "disabled")
RANKS = ("first", "all")
TAILS = ("gradient", "update", "weight")
RESUMES: tuple[wire.Resume, ...] = ("never", "allow", "must")
DEFAULT_DIR = "htga-data/spool"
"""Folder where rows wait on disk, relative to the current one."""

_NOT_PUBLIC = frozenset({"token", "model", "config", "noise"})

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The checked arguments of `attach`, with those of the environment and the defaults.

    Attributes:
        measuring: The arguments of `Probe` among them.
        noise: Those that begin with `noise`.
        spectra_every: None for never.
        others: As the arguments of `attach`; text that may be missing is empty.
    """

    mode: str
    url: str
    token: str
    project: str
    name: str
    group: str
    tags: tuple[str, ...]
    notes: str
    config: Any
    run_id: str
    resume: wire.Resume
    every_rank: bool
    directory: Path
    measuring: Mapping[str, Any]
    noise: NoiseSchedule
    spectra_every: int | None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Options:
        """The options of the arguments by name, of which None and what is missing are not given.

        Raises:
            TypeError: `config` has none of its types, or `noise` is no callable.
            ValueError: An argument or its variable is invalid.
        """

        def value(name: str, default: Any) -> Any:
            return setting(given.get(name), name.upper(), default)

        mode = choice("mode", value("mode", "online"), MODES)
        run_id = value("run_id", "")
        layers = "*" if given.get("model") is not None else ""
        measuring = {
            "model": given.get("model"),
            "first_step": integer("step", value("step", 0), at_least=0),
            "budget": optional_share("budget", value("budget", None)),
            "layers": words(value("layers", layers)),
            "layers_every": integer("layers_every", value("layers_every", 20), at_least=1),
            "layers_top": integer("layers_top", value("layers_top", 50), at_least=0),
            "every": integer("every", value("every", 1), at_least=1),
            "histograms": flag("histograms", value("histograms", True)),
            "sample": integer("sample", value("sample", SAMPLE), at_least=0) or None,
            "updates_every": integer(
                "updates_every", value("updates_every", UPDATES_EVERY), at_least=0
            ),
            "tails": (tails := choices("tails", value("tails", "gradient"), TAILS)),
        }
        if set(tails) - {"gradient"} and not measuring["updates_every"]:
            raise ValueError(
                f"{_either('tails')} has {shown(tails[-1])}, which is measured with "
                f"the update, and {_either('updates_every')} is 0; it must be at least 1"
            )
        return cls(
            mode=mode,
            url=value("url", DEFAULT_URL) if mode == "online" else "",
            token=value("token", ""),
            project=value("project", ""),
            name=value("name", ""),
            group=value("group", ""),
            tags=words(value("tags", ())),
            notes=value("notes", ""),
            config=config_of(value("config", None)),
            run_id=run_id and checked_run_id(run_id),
            resume=choice("resume", value("resume", "allow"), RESUMES),
            every_rank=choice("ranks", value("ranks", "first"), RANKS) == "all",
            directory=folder("dir", value("dir", DEFAULT_DIR)),
            measuring=measuring,
            noise=_noise(given.get("noise"), value),
            spectra_every=optional_integer("spectra_every", value("spectra_every", None)),
        )


def _noise(closure: Any, value: Callable[[str, Any], Any]) -> NoiseSchedule:
    """When to measure the noise by itself.

    Raises:
        TypeError: `closure` is neither None nor a callable.
        ValueError: A number or its variable is invalid.
    """
    if closure is not None:
        check_closure("noise", closure)
    return NoiseSchedule(
        closure=closure,
        every=integer("noise_every", value("noise_every", 500), at_least=1),
        batches=integer("noise_batches", value("noise_batches", 16), at_least=2),
        batch_size=optional_integer("noise_batch_size", value("noise_batch_size", None)),
    )


def public(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `attach`'s arguments that may stand in a checkpoint: plain ones without a secret."""
    kept = {name: to_jsonable(options[name]) for name in options if name not in _NOT_PUBLIC}
    if isinstance(url := kept.get("url"), str):
        kept["url"] = without_password(url)
    return kept


def check_options(of: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Check arguments of `attach` that are used later, where they are given.

    Args:
        of: Who takes them, for a message.
        given: The arguments by name.
        known: The names that there are.

    Raises:
        TypeError: There is no argument of such a name, or `config` has none of its types.
        ValueError: An argument or its variable is invalid.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
            raise TypeError(f"{of}() got an unexpected argument {shown(name)}; {hint}")
    options = Options.checked(given)
    if options.url:
        checked_url(options.url)


def setting(argument: Any, variable: str, default: Any) -> Any:
    """The argument, or else HTGA_<variable> if it is not empty, or else the default.

    A value from the environment is text.
    """
    if argument is not None:
        return argument
    return os.environ.get(f"HTGA_{variable}") or default


def _either(name: str) -> str:
    """An argument and its variable for an error message, since the value may come from either."""
    return f"{name} (or HTGA_{name.upper()})"


def choice(name: str, value: str | None, known: Sequence[T]) -> T:
    """One of a few words.

    Raises:
        ValueError: It is not one of them.
    """
    for word in known:
        if value == word:
            return word
    raise ValueError(
        f"{_either(name)} must be one of {', '.join(map(repr, known))}, got {shown(value)}"
    )


def choices(name: str, value: object, known: Sequence[str]) -> tuple[str, ...]:
    """Some of a few words, each once, in the order of `known`.

    Raises:
        ValueError: One is not one of them.
    """
    given = words(value)
    for word in given:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{_either(name)} must be some of {', '.join(map(repr, known))}, "
                f"got {shown(word)}{hint}"
            )
    return tuple(word for word in known if word in given)


def integer(name: str, value: int | str, *, at_least: int) -> int:
    """A whole number.

    Raises:
        ValueError: It is not an integer, or too small.
    """
    try:
        number = int(value) if isinstance(value, str) else operator.index(value)
    except Exception:  # noqa: BLE001  it may be any object
        number = at_least - 1
    if number < at_least:
        raise ValueError(
            f"{_either(name)} must be an integer of at least {at_least}, got {shown(value)}"
        )
    return number


def optional_integer(name: str, value: int | str | None) -> int | None:
    """A whole number of at least 1, or None.

    Raises:
        ValueError: It is not such a number.
    """
    return None if value is None else integer(name, value, at_least=1)


def optional_share(name: str, value: float | str | None) -> float | None:
    """A share above 0 and up to 1, or None.

    Raises:
        ValueError: It is not such a number.
    """
    if value is None:
        return None
    try:
        share = float(value)
    except Exception:  # noqa: BLE001  it may be any object
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(
            f"{_either(name)} must be above 0 and at most 1, such as 0.01, got {shown(value)}"
        )
    return share


def flag(name: str, value: bool | str) -> bool:
    """A boolean.

    Raises:
        ValueError: The text is not a boolean.
    """
    word = as_text(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{_either(name)} must be true or false, got {shown(value)}")
    return word in _TRUE


def words(value: object) -> tuple[str, ...]:
    """Several words, of whatever kind; text is split at commas."""
    if isinstance(value, str):
        parts: list[object] = list(value.split(","))
    else:
        parts = list(value) if isinstance(value, Iterable) else [value]
    found = (part if isinstance(part, str) else as_text(part) for part in parts)
    return tuple(word.strip() for word in found if word.strip())


def folder(name: str, value: str | Path) -> Path:
    """A folder, which need not exist.

    Raises:
        ValueError: It is not a path.
    """
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise ValueError(f"{_either(name)} must be the path of a folder, got {shown(value)}")
    path = Path(value)
    with contextlib.suppress(OSError):  # the current folder may be gone
        path = path.absolute()
    return path


def checked_run_id(text: str | uuid.UUID) -> str:
    """A run's UUID, a new one if `text` is empty.

    Raises:
        ValueError: It is not a UUID.
    """
    try:
        return str(uuid.UUID(as_text(text)) if text else uuid7())
    except ValueError:
        raise ValueError(
            f"{_either('run_id')} must be a UUID, got {shown(text)}; leave it out for a new run, "
            "and use name for a label"
        ) from None
