"""histograms in packs, a pyramid of cells, tracks, declared gaps.

What is derived (tracks, cells) is not made here: the collector makes it for every run without.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = ("run_key", "layer_id", "rank", "step", "attempt")
CHUNK = 1000
ZSTD = pa.Codec("zstd", 1)


def key(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "cells",
        key("run_key", sa.BigInteger()),
        sa.Column("kind", sa.String(length=6), nullable=False),
        key("name_id", sa.Integer()),
        key("rank", sa.Integer()),
        key("level", sa.Integer()),
        key("cell", sa.BigInteger()),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("stats", sa.LargeBinary(), nullable=False),
        sa.Column("histograms", sa.Integer(), nullable=False),
        sa.Column("histogram", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint(
            "run_key", "kind", "name_id", "rank", "level", "cell", name=op.f("pk_cells")
        ),
        sqlite_with_rowid=False,
        comment="summaries of 8**level steps (htga_server.pyramid); derived, and made anew at will",
    )
    op.create_table(
        "gaps",
        key("run_key", sa.BigInteger()),
        sa.Column("writer", sa.String(length=36), nullable=False),
        key("first_seq", sa.BigInteger()),
        sa.Column("end_seq", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_key", "writer", "first_seq", name=op.f("pk_gaps")),
        comment="rows that a writer has lost and says so: first_seq <= sequence number < end_seq",
    )
    packed = op.create_table(
        "packs",
        key("run_key", sa.BigInteger()),
        key("layer_id", sa.Integer()),
        key("rank", sa.Integer()),
        key("step", sa.BigInteger()),
        key("attempt", sa.Integer()),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_packs")),
        sqlite_with_rowid=False,
        comment="histograms of the steps from `step` on, within one window (htga_server.packs)",
    )
    op.create_table(
        "tracks",
        key("run_key", sa.BigInteger()),
        sa.Column("kind", sa.String(length=6), nullable=False),
        key("name_id", sa.Integer()),
        key("rank", sa.Integer()),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_key", "kind", "name_id", "rank", name=op.f("pk_tracks")),
        comment="a layer or a metric on a rank, and the range of its steps",
    )
    op.add_column("writers", sa.Column("batch_first", sa.BigInteger(), nullable=True))
    op.add_column("writers", sa.Column("batch_digest", sa.LargeBinary(), nullable=True))
    for name in ("low", "high"):
        op.add_column("runs", sa.Column(name, sa.JSON(), server_default="{}", nullable=False))
    for row in _rows(_steps(), sa.column("histogram").is_not(None)):
        op.bulk_insert(
            packed,
            [
                dict(zip(KEY, one, strict=False)) | {"data": pack(bytes(one.histogram))}
                for one in row
            ],
        )
    with op.batch_alter_table("steps") as batch_op:
        batch_op.drop_column("histogram")


def downgrade() -> None:
    op.add_column("steps", sa.Column("histogram", sa.LargeBinary(), nullable=True))
    packed = sa.table("packs", *(sa.column(name) for name in (*KEY, "data")))
    steps = _steps()
    update = steps.update().where(*(steps.c[name] == sa.bindparam(f"at_{name}") for name in KEY))
    for rows in _rows(packed, sa.true()):
        found = [
            {f"at_{name}": value for name, value in zip(KEY, row, strict=False)}
            | {"at_step": step, "histogram": blob}
            for row in rows
            for step, blob in unpack(row.step, bytes(row.data))
        ]
        op.get_bind().execute(update.values(histogram=sa.bindparam("histogram")), found)
    with op.batch_alter_table("runs") as batch_op:
        for name in ("high", "low"):
            batch_op.drop_column(name)
    with op.batch_alter_table("writers") as batch_op:
        for name in ("batch_digest", "batch_first"):
            batch_op.drop_column(name)
    for name in ("tracks", "packs", "gaps", "cells"):
        op.drop_table(name)


def pack(blob: bytes) -> bytes:
    """One histogram in the layout of that day: version, number less one, size, then zstd."""
    plain = b"\0" + len(blob).to_bytes(4, "little") + blob
    head = bytes((1, 0)) + len(plain).to_bytes(4, "little")
    return head + bytes(ZSTD.compress(plain, asbytes=True))


def unpack(first: int, packed: bytes) -> Iterator[tuple[int, bytes]]:
    """Step and bytes of each histogram: offsets of the steps, lengths, then the histograms."""
    number, size = packed[1] + 1, int.from_bytes(packed[2:6], "little")
    plain = ZSTD.decompress(packed[6:], size, asbytes=True)
    at = 5 * number
    for i in range(number):
        length = int.from_bytes(plain[number + 4 * i : number + 4 * i + 4], "little")
        yield first + plain[i], plain[at : at + length]
        at += length


def _steps() -> sa.TableClause:
    return sa.table("steps", *(sa.column(name) for name in (*KEY, "histogram")))


def _rows(table: sa.TableClause, condition: sa.ColumnElement[bool]) -> Iterator[Sequence[Any]]:
    """The rows of a table in chunks, each of which is read before it is used."""
    query = sa.select(table).where(condition).order_by(*(table.c[name] for name in KEY))
    after = None
    while True:
        where = sa.true() if after is None else sa.tuple_(*(table.c[n] for n in KEY)) > after
        rows = op.get_bind().execute(query.where(where).limit(CHUNK)).all()
        if not rows:
            return
        yield rows
        after = sa.tuple_(*(sa.literal(value) for value in rows[-1][: len(KEY)]))
