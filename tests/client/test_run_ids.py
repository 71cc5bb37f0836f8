import re
import time
import uuid

from htga_client.run_ids import random_name, uuid7


def test_a_name_is_two_words_and_a_number() -> None:
    assert re.fullmatch(r"[a-z]+-[a-z]+-[1-9]\d\d", random_name())


def test_a_uuid7_says_its_version_variant_and_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_a_thousand_uuids_differ() -> None:
    assert len({uuid7() for _ in range(1000)}) == 1000
