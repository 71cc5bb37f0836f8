"""Cleaning of a run's registration: a part that cannot be stored never holds up the rows."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, get_args

from htga_client.wire.json_codec import MAX_DEPTH, JsonConverter, compact
from htga_client.wire.limits import (
    MAX_CONFIG_BYTES,
    MAX_ENVIRONMENT_BYTES,
    MAX_LABEL,
    MAX_NOTES,
    MAX_START,
    MAX_TAGS,
)
from htga_client.wire.runs import NewRun, Resume
from htga_client.wire.text import as_text, clean_text, shown

MAX_LISTED = 5
_NO_PROJECT = "default"


def clean_run(
    fields: Mapping[str, Any], *, depth: int = MAX_DEPTH
) -> tuple[NewRun, tuple[str, ...]]:
    """A registration that can be stored, and a sentence for each part that had to be changed.

    Text is converted, its NULs and lone surrogates are replaced, and it is shortened to the
    limits of `wire.limits`; settings of config and environment beyond their bytes are left out.
    A run without a name is named after its id. Cleaning twice changes nothing more.

    Args:
        fields: The members of a `NewRun`, each of any kind; others are ignored.
        depth: Levels of config and environment; what lies deeper becomes text.

    Raises:
        ValueError: `id`, `project` or `name` is missing, or `id`, `writer` or `resume` is not what
            it must be. These say which run it is, so nothing can stand in for them.
    """
    missing = [name for name in ("id", "project", "name") if name not in fields]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    run_id, writer, resume = fields["id"], fields.get("writer"), fields.get("resume")
    for name, given in (("id", run_id), ("writer", writer or "")):
        if not isinstance(given, str):
            raise ValueError(f"{name} must be a UUID, got {shown(given)}")  # noqa: TRY004  as said
    if resume is not None and resume not in get_args(Resume):
        raise ValueError(f"resume must be one of {get_args(Resume)}, got {shown(resume)}")
    changes: list[str] = []

    def text(what: str, limit: int = MAX_LABEL, default: str = "") -> str:
        found = _text(what, fields.get(what), limit, changes)
        if not found and default:
            changes.append(f"{what} is empty and becomes {default!r}")
        return found or default

    def settings(what: str, limit: int) -> dict[str, Any]:
        return _settings(what, fields.get(what), limit, depth, changes)

    run = NewRun(
        id=run_id,
        project=text("project", default=_NO_PROJECT),
        name=text("name", default=clean_text(run_id)[:8] or "run"),
        group=text("group"),
        tags=_tags(fields.get("tags"), changes),
        config=settings("config", MAX_CONFIG_BYTES),
        notes=text("notes", MAX_NOTES),
        environment=settings("environment", MAX_ENVIRONMENT_BYTES),
        writer=writer or None,
        start=text("start", MAX_START) or None,
        resume=resume,
        defaults=_defaults(fields.get("defaults")),
    )
    return run, tuple(dict.fromkeys(changes))


def _text(what: str, value: object, limit: int, changes: list[str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        changes.append(f"{what} must be text, got {shown(value)}; it is converted")
        value = as_text(value)
    clean = clean_text(value)
    if clean != value:
        changes.append(f"{what} holds a NUL or a lone surrogate, which is replaced")
    if len(clean) > limit:
        changes.append(f"{what} has {len(clean)} characters and is shortened to {limit}")
        clean = f"{clean[: limit - 1]}…"
    return clean


def _defaults(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list | tuple | AbstractSet) else ()
    return tuple(name for name in ("project", "name") if name in given)


def _tags(value: object, changes: list[str]) -> tuple[str, ...]:
    several = isinstance(value, list | tuple | AbstractSet)
    given: Any = value if several else () if value is None else (as_text(value),)
    if not several and value is not None:
        changes.append(f"tags must be a list of texts, got {shown(value)}")
    tags = [_text("a tag", tag, MAX_LABEL, changes) for tag in given]
    if len(tags) > MAX_TAGS:
        changes.append(f"of {len(tags)} tags {MAX_TAGS} are kept")
    return tuple(tags[:MAX_TAGS])


def _settings(
    what: str, value: object, limit: int, depth: int, changes: list[str]
) -> dict[str, Any]:
    converter = JsonConverter()
    found = {} if value is None else converter.convert(value, depth)
    if not isinstance(found, dict):
        changes.append(f"{what} must be a mapping, got {shown(value)}; it is left out")
        return {}
    if converter.replaced:
        changes.append(f"{what} holds a NUL or a lone surrogate, which is replaced")
    if len(compact(found)) <= limit:
        return found
    left_out: list[str] = []
    kept, _ = _fit(found, limit, "", left_out)
    names = ", ".join(shown(path) for path in left_out[:MAX_LISTED])
    more = len(left_out) - MAX_LISTED
    changes.append(
        f"{what} is larger than {limit} bytes of JSON; left out: {names}"
        + (f" and {more} more" if more > 0 else "")
    )
    return kept


def _fit(
    value: Mapping[str, Any], room: int, prefix: str, left_out: list[str]
) -> tuple[dict[str, Any], int]:
    """Return those settings that fit into `room` bytes of JSON, in order, and their bytes.

    The paths of the others are added to `left_out`. Of a mapping that does not fit, a part may.
    """
    kept: dict[str, Any] = {}
    used = len("{}")
    for key, item in value.items():
        path, own = prefix + key, len(compact(key)) + len(":,")
        size = own + len(compact(item))
        if used + size > room and isinstance(item, dict):
            before = len(left_out)
            item, inside = _fit(item, room - used - own, f"{path}.", left_out)  # noqa: PLW2901
            size = own + inside
            if not item:
                del left_out[before:]
        if used + size > room or (item == {} and value[key]):
            left_out.append(path)
        else:
            kept[key] = item
            used += size
    return kept, used
