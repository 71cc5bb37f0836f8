from htga_server.live.pacing import (
    COUNT_SECONDS,
    MAX_SECONDS,
    QUIET_SECONDS,
    REQUESTS_PER_SECOND,
    VIEWED_SECONDS,
    SenderPacing,
)
from htga_server.live.viewers import VIEW_TTL


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def interval(pacing: SenderPacing, writer: str | None, run_id: str = "run") -> float:
    return pacing.next_interval(run_id, writer, viewed=False)


def intervals(pacing: SenderPacing, senders: int) -> list[float]:
    return [interval(pacing, str(i)) for i in range(senders)]


def test_the_more_senders_the_seldomer_each_is_asked_to_send() -> None:
    pacing = SenderPacing(Clock())
    assert intervals(pacing, 100)[-1] == QUIET_SECONDS
    assert intervals(pacing, 300)[-1] == 300 / REQUESTS_PER_SECOND
    assert intervals(pacing, 300)[0] == 300 / REQUESTS_PER_SECOND  # none is new


def test_each_writer_of_a_run_is_a_sender_and_is_counted_once() -> None:
    pacing = SenderPacing(Clock())
    intervals(pacing, 300)
    assert interval(pacing, "a") == interval(pacing, "a") == 301 / REQUESTS_PER_SECOND
    assert interval(pacing, "b") == 302 / REQUESTS_PER_SECOND
    assert interval(pacing, None) == 303 / REQUESTS_PER_SECOND
    assert interval(pacing, "a", "other") == 304 / REQUESTS_PER_SECOND


def test_however_many_there_are_each_learns_in_time_that_its_run_is_viewed() -> None:
    pacing = SenderPacing(Clock())
    assert intervals(pacing, 5000)[-1] == MAX_SECONDS < VIEW_TTL
    assert pacing.next_interval("run", "0", viewed=True) == VIEWED_SECONDS


def test_senders_that_are_gone_are_forgotten_after_two_counts() -> None:
    clock = Clock()
    pacing = SenderPacing(clock)
    intervals(pacing, 400)
    clock.now += COUNT_SECONDS
    assert interval(pacing, "0") == 4.0  # the others have that long to come back
    clock.now += COUNT_SECONDS
    assert interval(pacing, "0") == QUIET_SECONDS
    intervals(pacing, 400)
    clock.now += 2 * COUNT_SECONDS
    assert interval(pacing, "0") == QUIET_SECONDS
