"""Locks of a storage node: one holder at a time, none after a death."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tasks.node.locks import Locks, LockTimeoutError


def test_one_thread_at_a_time_holds_an_object(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locks.object("volume-1", wait=30):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_different_objects_do_not_wait_for_each_other(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")

    with locks.object("volume-1", wait=0), locks.object("volume-2", wait=0):
        pass


def test_many_hold_a_lock_shared_or_one_alone(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")

    with (
        locks.object("volume-1", wait=0, shared=True),
        locks.object("volume-1", wait=0, shared=True),
        pytest.raises(LockTimeoutError) as late,
        locks.object("volume-1", wait=0),
    ):
        pytest.fail("one held a lock alone that others held")
    assert late.value.name == "volume-1"

    with (
        locks.object("volume-1", wait=0),
        pytest.raises(LockTimeoutError),
        locks.object("volume-1", wait=0, shared=True),
    ):
        pytest.fail("one held a lock that another held alone")


def test_whoever_waits_too_long_is_told(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")

    with locks.object("volume-1", wait=0):
        begun = time.monotonic()
        with pytest.raises(LockTimeoutError), locks.object("volume-1", wait=0.1):
            pytest.fail("two held one lock")
        assert 0.1 <= time.monotonic() - begun < 1

    with locks.object("volume-1", wait=0):
        pass


def _hold(path: Path, holding: Event) -> None:
    locks = Locks(path)
    locks.live_as(7)
    with locks.object("volume-1", wait=0):
        holding.set()
        time.sleep(60)


def test_the_locks_of_a_killed_process_are_free(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    context = multiprocessing.get_context("spawn")
    holding = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "locks", holding))
    process.start()
    try:
        assert holding.wait(30)
        assert locks.lives(7)
        assert not locks.lives(8)
        with pytest.raises(LockTimeoutError), locks.object("volume-1", wait=0):
            pytest.fail("another process held the lock")
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()

    assert not locks.lives(7)
    with locks.object("volume-1", wait=0):
        pass


def test_an_incarnation_is_alive_until_its_mark_is_closed(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    mark = locks.live_as(1)
    assert locks.lives(1)

    os.close(mark)

    assert not locks.lives(1)
