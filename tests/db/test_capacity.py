"""The claim: one conditional UPDATE, whoever asks and however many at once."""

import threading
from collections import Counter
from functools import partial

import pytest
from sqlalchemy import select

from db import capacity
from db.models import Backend, Claim, Node, Pool, Residue, Volume, new_id
from db.transactions import retrying
from tests.db.conftest import Database

THREADS, CREATES = 8, 160
LIMIT, SIZE = 30, 3


def _pools(database: Database, count: int, **columns: object) -> list[int]:
    with database.writing() as tx:
        tx.add(Node(host="n", availability_zone="nova", ledger="l", incarnation=1, sequence=1))
        tx.flush()
        tx.add(Backend(name="n@b", host="n", driver="fake"))
        tx.flush()
        values = {"limit_gib": LIMIT, "total_gib": LIMIT, "free_gib": LIMIT} | columns
        pools = [Pool(name=f"n@b#{i}", host="n", backend="n@b", **values) for i in range(count)]
        tx.add_all(pools)
        tx.flush()
        return [pool.id for pool in pools]


def test_a_race_never_overcommits_and_uses_all_the_room(database: Database) -> None:
    """Given four pools with room for ten each, when 8 threads want 160, then 40 get theirs."""
    pools = _pools(database, 4)
    flows = [database.flow() for _ in range(CREATES)]
    granted: Counter[int] = Counter()
    lock, start = threading.Lock(), threading.Barrier(THREADS)

    def claim(flow_id: str, first: int) -> None:
        # The order in which a scheduler prefers them; each lost claim tries the next.
        for pool_id in pools[first:] + pools[:first]:
            with database.writing() as tx:
                won = capacity.claim(tx, flow_id, pool_id, SIZE, volumes=1)
            if won:
                with lock:
                    granted[pool_id] += 1
                return

    def work(number: int) -> None:
        start.wait()
        for index, flow_id in enumerate(flows[number::THREADS]):
            retrying(partial(claim, flow_id, index % 4))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert granted == Counter(dict.fromkeys(pools, LIMIT // SIZE))
    with database.writing() as tx:
        taken = {pool.id: (pool.taken_gib, pool.volumes) for pool in tx.scalars(select(Pool))}
        claims = Counter(claim.pool_id for claim in tx.scalars(select(Claim)))
    assert taken == dict.fromkeys(pools, (LIMIT, LIMIT // SIZE))
    assert claims == granted


@pytest.mark.parametrize(
    ("asked", "thick", "granted"),
    [(60, False, True), (61, False, False), (30, True, True), (31, True, False)],
)
def test_a_thick_volume_is_not_oversubscribed(
    database: Database, asked: int, thick: bool, granted: bool
) -> None:
    (pool,) = _pools(database, 1, limit_gib=60, thin=True, max_over_subscription_ratio=2.0)
    flow = database.flow()
    with database.writing() as tx:
        assert capacity.claim(tx, flow, pool, asked, volumes=1, thick=thick) is granted


def test_what_a_flow_took_goes_where_its_end_says(database: Database) -> None:
    (pool_id,) = _pools(database, 1)
    flows = [database.flow() for _ in range(3)]
    volume = Volume(id=new_id(), project_id="p", user_id="u", size=5, status="creating")
    volume.allocated_gib = 0
    residue = Residue(flow_id=flows[1], request_id="r", volume_id=volume.id, host="n")
    residue.epoch, residue.reason = 1, "lost"
    with database.writing() as tx:
        for flow_id in flows:
            assert capacity.claim(tx, flow_id, pool_id, 5, volumes=1)
        tx.add(volume)
        capacity.allocate(tx, flows[0], volume)
        tx.add(residue)
        capacity.leave(tx, flows[1], residue)
        capacity.release(tx, flows[2])
        capacity.release(tx, flows[2])  # a compensation that comes twice
        capacity.release(tx, flows[1])  # the residue has it now
    assert (volume.allocated_gib, residue.gib, _taken(database)) == (5, 5, (10, 2))
    with database.writing() as tx:
        volume, residue = tx.merge(volume), tx.merge(residue)
        capacity.settle(tx, residue)
        capacity.free(tx, volume)
        capacity.free(tx, volume)
    assert _taken(database) == (0, 0)


def _taken(database: Database) -> tuple[int, int]:
    with database.writing() as tx:
        pool = tx.scalars(select(Pool)).one()
        return pool.taken_gib, pool.volumes
