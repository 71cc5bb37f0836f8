"""Tokens: who may do what. The database holds their hashes only.

A token is `htga_<id>_<secret>_<checksum>`: the id finds it, the secret proves it, and the checksum
tells a token that was copied badly, or found in a log by a scanner, from any other text.
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
"""How long an answer of the database about a token is believed."""
MOST_KEPT = 10_000
NOBODYS = bytes(32)
"""The digest of no secret that anybody knows."""

# A digest whether there is such a token or not: reading one or none would take different times.
_ASKED = sa.select(sa.bindparam("token_id", type_=sa.String).label("id")).subquery("asked")
_DIGEST = sa.select(sa.func.coalesce(tokens.c.digest, NOBODYS)).select_from(
    _ASKED.outerjoin(tokens, tokens.c.id == _ASKED.c.id)
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What whoever sent a request may do; with a project, in that one only."""

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
    """Make a token, and return it for the only time.

    Raises:
        BadRequest: There is no such scope, or none at all.
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
    """The tokens of a project, or all, oldest first."""
    query = sa.select(tokens).order_by(tokens.c.created)
    if project is not None:
        query = query.where(tokens.c.project == project)
    return tuple(
        Token(
            id=row.id,
            name=row.name,
            scopes=tuple(row.scopes.split(",")),
            project=row.project,
            created=row.created,
            expires=row.expires,
            revoked=row.revoked,
        )
        for row in connection.execute(query)
    )


def revoke(connection: sa.Connection, token_id: str) -> None:
    """Let a token count for nothing from now on.

    Raises:
        NotFound: There is none of this id.
    """
    found = sa.update(tokens).where(tokens.c.id == token_id)
    if not connection.execute(
        found.values(revoked=sa.func.coalesce(tokens.c.revoked, time.time()))
    ).rowcount:
        raise NotFound(f"no token {token_id[:40]!r}")


def any_valid(connection: sa.Connection) -> bool:
    """Whether anybody could come in."""
    now = time.time()
    return any(
        one.revoked is None and (one.expires is None or one.expires > now)
        for one in listing(connection)
    )


def find(connection: sa.Connection, token: str) -> Grant | None:
    """What a token allows, or None where it allows nothing; the work is that of one that exists."""
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


class Known:
    """Remembers for a moment what tokens allow, so that not every request asks the database.

    A token that is revoked works for up to `FRESH_SECONDS` more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._grants: dict[bytes, tuple[float, Grant]] = {}

    def get(self, token: str) -> Grant | None:
        """What was said of the token a moment ago, if anything."""
        since, grant = self._grants.get(_digest(token), (float("-inf"), None))
        return grant if self._clock() - since < FRESH_SECONDS else None

    def keep(self, token: str, grant: Grant) -> None:
        """Remember what the database said just now."""
        if len(self._grants) >= MOST_KEPT:
            self._grants.clear()
        self._grants[_digest(token)] = (self._clock(), grant)


def _digest(secret: str) -> bytes:
    # The secret has 256 random bits: a slow hash would protect nothing more.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode('utf-8', 'replace')):08x}"
