from htga_server.live.pacing import REQUESTS, SLOWEST, WINDOW, Fleet
from htga_server.live.viewers import PATIENCE


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def paces(fleet: Fleet, senders: int) -> list[float]:
    return [fleet.pace("run", str(i)) for i in range(senders)]


def test_the_more_senders_the_seldomer_each_is_asked_to_send() -> None:
    fleet = Fleet(Clock())
    assert paces(fleet, 100)[-1] == 1.0
    assert paces(fleet, 300)[-1] == 300 / REQUESTS
    assert paces(fleet, 300)[0] == 300 / REQUESTS  # none is new


def test_each_writer_of_a_run_is_a_sender_and_is_counted_once() -> None:
    fleet = Fleet(Clock())
    assert fleet.pace("run", "a") == fleet.pace("run", "a") == 1 / REQUESTS
    assert fleet.pace("run", "b") == 2 / REQUESTS
    assert fleet.pace("run", None) == 3 / REQUESTS


def test_however_many_there_are_each_learns_in_time_that_its_run_is_looked_at() -> None:
    assert paces(Fleet(Clock()), 5000)[-1] == SLOWEST < PATIENCE


def test_senders_that_are_gone_are_forgotten_after_two_windows() -> None:
    clock = Clock()
    fleet = Fleet(clock)
    paces(fleet, 400)
    clock.now += WINDOW
    assert fleet.pace("run", "0") == 4.0  # the others have a window in which to come back
    clock.now += WINDOW
    assert fleet.pace("run", "0") == 1 / REQUESTS
    paces(fleet, 400)
    clock.now += 2 * WINDOW
    assert fleet.pace("run", "0") == 1 / REQUESTS
