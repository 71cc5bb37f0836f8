"""Ids and names of runs."""

from __future__ import annotations

import secrets
import time
import uuid

_ADJECTIVES = """
amber bold brisk calm clear crisp deft eager early fair fleet fond fresh gentle glad golden
grand green hardy jolly keen kind late light lively lucid mellow merry mild neat nimble noble
patient plain polar proud quick quiet rapid ready ruby sharp silent silver sleek smooth snug
solar spry steady still stout sunny swift tidy vivid warm wise witty
""".split()  # noqa: SIM905  a list is easier to read as text
_NOUNS = """
alder aspen badger bay beech birch brook cedar cliff comet coral crane creek dale delta dune
ember falcon fern finch fjord forest glade grove harbor hawk hazel heath heron hill iris island
jay juniper lagoon lake larch lark linden lynx maple marten meadow mesa moss oak orchid osprey
otter pine plover pond poplar prairie rain raven reef ridge river robin rowan sage sparrow
spruce stone summit swan thicket tide valley willow wren
""".split()  # noqa: SIM905  a list is easier to read as text


def random_name() -> str:
    """A readable label such as "quiet-maple-417"; it need not be unique."""
    number = 100 + secrets.randbelow(900)
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{number}"


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): sorted by its millisecond, then random.

    Python has `uuid.uuid7` from 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return uuid.UUID(int=value)
