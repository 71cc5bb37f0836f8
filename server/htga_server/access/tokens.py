"""Access tokens. The database holds only hashes of their secrets.

A token is `htga_<id>_<secret>_<checksum>`: the id identifies it, the secret proves it, and the
checksum tells a token from a mistyped one, and from any other text for scanners of secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import sqlalchemy as sa

from htga_client.wire import Token, TokenScope
from htga_server.problems import BadRequest, NotFound
from htga_server.storage.tables import tokens

SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)
PARTS = 4
FRESH_SECONDS = 2.0
"""How long a grant is cached."""
MAX_KEPT = 10_000
NO_DIGEST = bytes(32)
"""The digest of no known secret."""

# Returns a digest even for an unknown id, so that both cases take the same time.
_REQUESTED = sa.select(sa.bindparam("token_id", type_=sa.String).label("id")).subquery("requested")
_DIGEST = sa.select(sa.func.coalesce(tokens.c.digest, NO_DIGEST)).select_from(
    _REQUESTED.outerjoin(tokens, tokens.c.id == _REQUESTED.c.id)
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the sender of a request may do; with a project, only there."""

    scopes: frozenset[TokenScope]
    project: str | None = None


EVERYTHING = Grant(frozenset(SCOPES))


def create(
    connection: sa.Connection,
    *,
    name: str,
    scopes: tuple[TokenScope, ...],
    project: str | None = None,
    expires: float | None = None,
) -> str:
    """Create a token and return it; the secret cannot be read again.

    Raises:
        BadRequest: A scope is unknown, or none is given.
    """
    if not scopes or not set(scopes) <= set(SCOPES):
        raise BadRequest(f"scopes must be of {', '.join(SCOPES)}, got {', '.join(scopes)!r}")
    token_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    connection.execute(
        sa.insert(tokens).values(
            id=token_id,
            digest=_digest(secret),
            name=name,
            scopes=",".join(scopes),
            project=project,
            created=time.time(),
            expires=expires,
        )
    )
    body = f"htga_{token_id}_{secret}"
    return f"{body}_{_checksum(body)}"


def listing(connection: sa.Connection, project: str | None = None) -> tuple[Token, ...]:
    """List the tokens of a project, or all, oldest first."""
    shown = [column for column in tokens.columns if column.name != "digest"]
    query = sa.select(*shown).order_by(tokens.c.created)
    if project is not None:
        query = query.where(tokens.c.project == project)
    return tuple(
        Token(**row | {"scopes": tuple(row["scopes"].split(","))})
        for row in map(dict, connection.execute(query).mappings())
    )


def revoke(connection: sa.Connection, token_id: str) -> None:
    """Revoke a token.

    Raises:
        NotFound: No token has this id.
    """
    found = sa.update(tokens).where(tokens.c.id == token_id)
    if not connection.execute(
        found.values(revoked=sa.func.coalesce(tokens.c.revoked, time.time()))
    ).rowcount:
        raise NotFound(f"no token {token_id[:40]!r}")


def any_valid(connection: sa.Connection) -> bool:
    """Return whether any token is valid."""
    now = time.time()
    return any(
        one.revoked is None and (one.expires is None or one.expires > now)
        for one in listing(connection)
    )


def find(connection: sa.Connection, token: str) -> Grant | None:
    """Return what a token allows, or None; an unknown token takes as long as a known one."""
    body, _, checksum = token.rpartition("_")
    parts = token.split("_")
    well_formed = (
        len(parts) == PARTS and len(token) < 200 and token.isascii() and _checksum(body) == checksum
    )
    token_id, secret = (parts[1], parts[2]) if well_formed else ("", "")
    digest: bytes = connection.execute(_DIGEST, {"token_id": token_id}).scalar_one()
    if not hmac.compare_digest(bytes(digest), _digest(secret)):
        return None
    row = connection.execute(sa.select(tokens).where(tokens.c.id == token_id)).one()
    if row.revoked is not None or (row.expires is not None and row.expires <= time.time()):
        return None
    return Grant(frozenset(row.scopes.split(",")), row.project)


class GrantCache:
    """Caches grants briefly, so that not every request queries the database.

    A revoked token works for up to `FRESH_SECONDS` more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._grants: dict[bytes, tuple[float, Grant]] = {}

    def get(self, token: str) -> Grant | None:
        """Return the cached grant of a token, or None."""
        since, grant = self._grants.get(_digest(token), (float("-inf"), None))
        return grant if self._clock() - since < FRESH_SECONDS else None

    def put(self, token: str, grant: Grant) -> None:
        """Cache a grant."""
        if len(self._grants) >= MAX_KEPT:
            self._grants.clear()
        self._grants[_digest(token)] = (self._clock(), grant)


def _digest(secret: str) -> bytes:
    # The secret has 256 random bits, so a slow hash would add no protection.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode('utf-8', 'replace')):08x}"
