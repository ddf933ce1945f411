"""Transfers under contention: each volume has one owner, and each owner pays for what is his."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from db import quota, transfers
from db.models import Quota, QuotaUsage, Transfer, Volume, new_id
from db.quota import OverQuota
from db.transactions import retrying
from db.transitions import InvalidStatus, NotFound
from tests.db.conftest import Database

LIMITS = {"volumes": -1, "gigabytes": -1}


def offered(database: Database, project: str, name: str | None = None) -> tuple[str, str]:
    """An offer of a new volume of a project; returns its id and key."""
    with database.writing() as tx:
        volume = Volume(
            id=new_id(),
            project_id=project,
            user_id="u",
            size=1,
            status="available",
            visible=True,
            charged_count=1,
            charged_gib=1,
        )
        tx.add(volume)
        tx.flush()
        transfer, key = transfers.offer(tx, volume.id, name, no_snapshots=False)
        return transfer.id, key


def count(database: Database) -> None:
    """Set the counters to what the rows say."""
    with database.writing() as tx:
        tx.query(QuotaUsage).delete()
        for (project, resource), amount in quota.charged(tx).items():
            tx.add(QuotaUsage(project_id=project, resource=resource, in_use=amount, reserved=0))


def is_exact(database: Database) -> bool:
    with database.writing() as tx:
        sums = quota.charged(tx)
        counted = {(u.project_id, u.resource): u.in_use for u in tx.scalars(select(QuotaUsage))}
    return all(counted.get(key, 0) == sums[key] for key in {*sums, *counted})


def at_once(*jobs: Callable[[], None]) -> list[str]:
    """Run the jobs in threads that start together; returns how each ended."""
    barrier = threading.Barrier(len(jobs))
    ends = [""] * len(jobs)

    def run(index: int) -> None:
        barrier.wait()
        try:
            retrying(jobs[index])
        except (NotFound, InvalidStatus, transfers.CannotTransfer, OverQuota) as error:
            ends[index] = type(error).__name__
        else:
            ends[index] = "done"

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ends


def accepting(database: Database, offer: tuple[str, str], project: str) -> Callable[[], None]:
    def accept() -> None:
        with database.writing() as tx:
            transfers.accept(tx, *offer, project, "u", LIMITS)

    return accept


def withdrawing(database: Database, offer: tuple[str, str]) -> Callable[[], None]:
    def withdraw() -> None:
        with database.writing() as tx:
            transfers.withdraw(tx, offer[0])

    return withdraw


def test_many_accept_and_one_gets_it(database: Database) -> None:
    offer = offered(database, "m")
    count(database)
    ends = at_once(*(accepting(database, offer, project) for project in "abcxyz"))
    assert sorted(ends) == ["NotFound"] * 5 + ["done"]
    assert is_exact(database)


def test_it_is_accepted_or_withdrawn(database: Database) -> None:
    for _ in range(5):
        database.empty()
        offer = offered(database, "m")
        count(database)
        ends = at_once(accepting(database, offer, "a"), withdrawing(database, offer))
        assert sorted(ends) == ["NotFound", "done"]
        with database.writing() as tx:
            volume = tx.scalars(select(Volume)).one()
            left = tx.scalars(select(Transfer.accepted)).all()
        assert (volume.status, volume.project_id) == ("available", "a" if left else "m")
        assert is_exact(database)


def test_volumes_that_go_both_ways_do_not_wait_for_each_other(database: Database) -> None:
    there = [offered(database, "a") for _ in range(4)]
    back = [offered(database, "b") for _ in range(4)]
    count(database)
    jobs = [accepting(database, offer, "b") for offer in there]
    jobs += [accepting(database, offer, "a") for offer in back]
    assert at_once(*jobs) == ["done"] * 8
    assert is_exact(database)


def test_together_they_take_no_more_than_there_is_room_for(database: Database) -> None:
    offers = [offered(database, "a") for _ in range(4)]
    count(database)
    with database.writing() as tx:
        tx.add(Quota(project_id="b", resource="volumes", hard_limit=2))
    ends = at_once(*(accepting(database, offer, "b") for offer in offers))
    assert sorted(ends) == ["OverQuota", "OverQuota", "done", "done"]
    assert is_exact(database)


def test_the_key_is_salted(database: Database) -> None:
    ones = [offered(database, "a") for _ in range(2)]
    with database.writing() as tx:
        rows = tx.scalars(select(Transfer)).all()
        assert len({row.salt for row in rows}) == 2
        assert not {row.key_hash for row in rows} & {key for _, key in ones}
    with pytest.raises(transfers.CannotTransfer, match="invalid auth key"):
        accepting(database, (ones[0][0], ones[1][1]), "b")()
