"""The secrets of tokens: how they are compared."""

from __future__ import annotations

import hmac
import time
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from htga_server.access import tokens
from htga_server.storage.database import Database


def made(token_id: str, secret: str) -> str:
    """A token whose checksum is right."""
    body = f"htga_{token_id}_{secret}"
    return f"{body}_{tokens._checksum(body)}"


def work(database: Database, token: str, patch: pytest.MonkeyPatch) -> dict[tuple[Any, ...], int]:
    """What `find` does to refuse a token: hashes, comparisons and statements, and their sizes."""
    done: Counter[tuple[Any, ...]] = Counter()
    digest, compare = tokens._digest, hmac.compare_digest

    def digesting(secret: str) -> bytes:
        done["digest", len(secret)] += 1
        return digest(secret)

    def comparing(a: bytes, b: bytes) -> bool:
        done["compare", len(a), len(b)] += 1
        return compare(a, b)

    def refused(connection: sa.Connection) -> None:
        def executed(*args: Any) -> None:
            done["statement", args[2]] += 1

        sa.event.listen(connection, "before_cursor_execute", executed)
        assert tokens.find(connection, token) is None

    with patch.context() as one:
        one.setattr(tokens, "_digest", digesting)
        one.setattr(hmac, "compare_digest", comparing)
        database.read_now(refused)
    return done


def test_a_token_that_is_unknown_costs_the_work_of_one_whose_secret_is_wrong(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(**other: Any) -> tuple[str, str]:
        known: dict[str, Any] = {"name": "n", "scopes": ("read",)} | other
        token = database.write_now(lambda connection: tokens.create(connection, **known))
        return token.split("_")[1], token.split("_")[2]

    token_id, secret = create()
    old, _ = create(expires=time.time() - 1)
    revoked, _ = create()
    database.write_now(lambda connection: tokens.revoke(connection, revoked))
    wrong_at_once = made(token_id, ("1" if secret[0] == "0" else "0") + secret[1:])
    wrong_at_last = made(token_id, secret[:-1] + ("1" if secret[-1] == "0" else "0"))
    said = [
        work(database, token, monkeypatch)
        for token in (
            wrong_at_once,
            wrong_at_last,
            made(old, "0" * 64),
            made(revoked, "0" * 64),
            made("0" * 12, secret),
        )
    ]
    assert said[0]["digest", 64] == said[0]["compare", 32, 32] == 1
    assert all(one == said[0] for one in said)
