import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Driver, SnapshotRef, Snapshots, VolumeRef
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    DriverTimeout,
    OutOfSpace,
)
from drivers.fake_faults import write_faults
from drivers.fake_store import FileStore, MemoryStore, Store
from drivers.registry import load_backend
from tests.drivers.abilities import ConnectsContract, ManagesContract
from tests.drivers.contract import PersistentContract, volume_in
from tests.drivers.copies import ClonesContract, RevertsContract


def fake_backend(**options: Any) -> Driver:
    return load_backend("main", {"driver": "fake", **options})


class TestInMemory(RevertsContract, ClonesContract, ConnectsContract, ManagesContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return fake_backend(faults_file=str(tmp_path / "faults.json"))

    def leave_half_made(self, driver: Driver, volume: VolumeRef) -> None:
        """Through its faults, since they are how a fake leaves anything behind."""
        path = Path(driver.options["faults_file"])
        write_faults(path, {"create": [{"fault": "fail_after", "match": volume.object_name}]})
        with pytest.raises(DriverFailed):
            driver.create(volume)
        path.unlink()

    def leave_half_made_snapshot(self, driver: Driver, snapshot: SnapshotRef) -> None:
        assert isinstance(driver, Snapshots)
        path, volume = Path(driver.options["faults_file"]), volume_in(driver)
        driver.create(volume)
        write_faults(path, {"create_snapshot": [{"fault": "fail_after"}]})
        with pytest.raises(DriverFailed):
            driver.create_snapshot(snapshot, volume)
        path.unlink()
        driver.delete(volume)


class TestThickPools(TestInMemory):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return fake_backend(
            faults_file=str(tmp_path / "faults.json"),
            pools=3,
            allocation="thick",
            foreign_gib=10,
            total_gib=100,
        )


class TestWithStateFile(TestInMemory, PersistentContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return fake_backend(
            faults_file=str(tmp_path / "faults.json"), state_file=str(tmp_path / "new" / "state.db")
        )


@pytest.fixture(params=["memory", "file"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return {} if request.param == "memory" else {"state_file": str(tmp_path / "state.db")}


def test_a_thick_pool_refuses_what_does_not_fit(state: dict[str, Any]) -> None:
    driver = fake_backend(allocation="thick", total_gib=5, foreign_gib=1, **state)
    kept = volume_in(driver, 3)
    driver.create(kept)

    for call in (lambda: driver.create(volume_in(driver, 2)), lambda: driver.extend(kept, 5)):
        with pytest.raises(OutOfSpace) as full:
            call()
        assert full.value.left == "clean"

    assert list(driver.objects()) == [(kept.object_name, 3)]
    assert driver.report()[0].free_gib == 1
    assert driver.report()[0].limit_gib == 4
    driver.extend(kept, 4)
    driver.delete(kept)
    driver.create(volume_in(driver, 4))


def test_threads_cannot_fill_the_same_room_twice(state: dict[str, Any]) -> None:
    driver = fake_backend(allocation="thick", total_gib=10, **state)

    def attempt(volume: VolumeRef) -> bool:
        try:
            driver.create(volume)
        except OutOfSpace:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(attempt, [volume_in(driver) for _ in range(40)]))

    assert sum(made) == len(list(driver.objects())) == 10


def test_pools_have_room_of_their_own(state: dict[str, Any]) -> None:
    driver = fake_backend(allocation="thick", total_gib=2, pools=2, **state)
    volume = volume_in(driver, 2)

    driver.create(volume)

    assert [(pool.name, pool.free_gib) for pool in driver.report()] == [
        ("main-1", 0),
        ("main-2", 2),
    ]


def test_a_thin_pool_takes_every_promise() -> None:
    driver = fake_backend(total_gib=1, max_over_subscription_ratio=3, reserved_percentage=50)
    driver.create(volume_in(driver, 100))

    assert driver.report()[0].free_gib == 1
    assert driver.report()[0].limit_gib == 1.5


def test_further_capabilities_are_reported() -> None:
    driver = fake_backend(capabilities={"qcow2": True, "vendor_name": "ACME"})

    capabilities = driver.report()[0].capabilities
    assert capabilities["qcow2"] is True
    assert capabilities["vendor_name"] == "ACME"
    assert capabilities["volume_backend_name"] == "main"


def test_several_processes_share_a_state_file(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    script = (
        "import sys, uuid\n"
        "from drivers.base import VolumeRef\n"
        "from drivers.registry import load_backend\n"
        "options = {'driver': 'fake', 'state_file': sys.argv[1], 'allocation': 'thick',\n"
        "           'total_gib': 120}\n"
        "driver, made = load_backend('main', options), 0\n"
        "for _ in range(50):\n"
        "    try: driver.create(VolumeRef(f'volume-{uuid.uuid4()}', 'x', 1, 'main'))\n"
        "    except Exception as error: assert type(error).__name__ == 'OutOfSpace', error\n"
        "    else: made += 1\n"
        "print(made)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    made = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(made) == 120
    assert len(list(fake_backend(state_file=path).objects())) == 120


def test_a_state_file_that_cannot_be_used_is_a_backend_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is not a database, but it is long enough to be read")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BackendUnavailable) as refused:
            fake_backend(state_file=str(path)).check()
        assert str(path) in str(refused.value)


sizes = st.integers(1, 9)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.sampled_from("xy"), sizes),
        st.tuples(st.just("drop"), st.sampled_from("abc"), st.just(""), st.just(0)),
    ),
    max_size=30,
)


@given(changes=changes, room=st.one_of(st.none(), st.integers(0, 20)))
def test_both_stores_hold_the_same(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], room: int | None
) -> None:
    stores: list[Store] = [MemoryStore(), FileStore(tmp_path_factory.mktemp("state") / "state.db")]
    for verb, name, pool, size in changes:
        if verb == "put":
            assert len({store.put(name, pool, size, room) for store in stores}) == 1
        else:
            for store in stores:
                store.drop(name)
        for pool_name in "xy":
            used = {store.used_gib(pool_name) for store in stores}
            assert len(used) == 1
            assert room is None or max(used) <= room
        assert sorted(stores[0].items()) == sorted(stores[1].items())
        assert len({store.get(name) for store in stores}) == 1


# -- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "left", "made"),
    [
        ("fail_before", DriverFailed, "clean", False),
        ("fail_after", DriverFailed, "dirty", True),
        ("lose", DriverTimeout, "unknown", True),
    ],
)
def test_a_fault_of_create_does_or_does_not_make_the_volume(
    fault: str, kind: type[DriverError], left: str, made: bool
) -> None:
    driver = fake_backend(faults={"create": [{"fault": fault, "times": 1, "message": "ordered"}]})
    volume = volume_in(driver)

    with pytest.raises(DriverError) as failed:
        driver.create(volume)

    assert type(failed.value) is kind
    assert failed.value.left == left
    assert failed.value.reason == "ordered"
    assert (driver.size_of(volume) is not None) is made
    driver.create(volume)  # the fault has struck its one time
    assert driver.size_of(volume) == 1


@pytest.mark.parametrize("left", ["clean", "dirty", "unknown"])
@pytest.mark.parametrize("fault", ["fail_before", "fail_after", "lose"])
def test_what_a_fault_says_is_left_can_be_chosen(fault: str, left: str) -> None:
    driver = fake_backend(faults={"delete": [{"fault": fault, "left": left}]})

    with pytest.raises(DriverError) as failed:
        driver.delete(volume_in(driver))

    assert failed.value.left == left


def test_a_fault_of_delete_or_extend_acts_before_or_after() -> None:
    driver = fake_backend(
        faults={
            "extend": [{"fault": "fail_before", "times": 1}, {"fault": "fail_after", "times": 1}],
            "delete": [{"fault": "fail_before", "times": 1}, {"fault": "lose", "times": 1}],
        }
    )
    volume = volume_in(driver)
    driver.create(volume)

    steps: list[tuple[Callable[[], None], list[int | None]]] = [
        (lambda: driver.extend(volume, 2), [1, 2]),
        (lambda: driver.delete(volume), [2, None]),
    ]
    for call, sizes_after in steps:
        for size in sizes_after:
            with pytest.raises(DriverError):
                call()
            assert driver.size_of(volume) == size


def test_a_fault_strikes_only_the_objects_it_matches() -> None:
    driver = fake_backend(faults={"create": [{"fault": "fail_before", "match": "volume-*.1"}]})

    driver.create(volume_in(driver))
    with pytest.raises(DriverFailed):
        driver.create(volume_in(driver, generation=1))
    driver.create(volume_in(driver, generation=2))


@pytest.mark.parametrize("call", ["check", "report", "objects", "size_of"])
def test_other_calls_can_fail_too(call: str) -> None:
    volume = volume_in(fake_backend())
    driver = fake_backend(faults={call: [{"fault": "fail_before", "times": 1}]})
    method = getattr(driver, call)
    arguments = [volume] if call == "size_of" else []

    with pytest.raises(BackendUnavailable if call in ("check", "report") else DriverFailed):
        method(*arguments)

    method(*arguments)


def test_the_faults_file_is_followed_while_the_driver_runs(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    driver = fake_backend(faults_file=str(path))
    driver.create(volume_in(driver))

    write_faults(path, {"create": [{"fault": "fail_before", "times": 2}]})
    for _ in range(2):
        with pytest.raises(DriverFailed):
            driver.create(volume_in(driver))
    driver.create(volume_in(driver))

    write_faults(path, {"create": [{"fault": "fail_before", "times": 1}]})
    with pytest.raises(DriverFailed):
        driver.create(volume_in(driver))

    path.unlink()
    driver.create(volume_in(driver))


@pytest.mark.parametrize("text", ["{", "[]", '{"create": [{"fault": "explode"}]}', '{"mount": []}'])
def test_a_faults_file_that_is_no_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    driver = fake_backend(faults_file=str(path))

    for _ in range(2):
        with pytest.raises(BackendUnavailable) as refused:
            driver.check()
        assert str(path) in str(refused.value)
    write_faults(path, {})
    driver.check()


def test_a_hang_lasts_as_long_as_it_is_told() -> None:
    driver = fake_backend(faults={"create": [{"fault": "hang", "seconds": 0.2, "times": 1}]})
    volume, begun = volume_in(driver), time.monotonic()

    driver.create(volume)

    assert 0.2 <= time.monotonic() - begun < 2
    assert driver.size_of(volume) == 1


def test_a_hang_ends_when_it_is_taken_out_of_the_file_and_holds_nobody_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "faults.json"
    driver = fake_backend(faults_file=str(path))
    hung, free = volume_in(driver), volume_in(driver)
    table = {"create": [{"fault": "hang", "match": hung.object_name}]}
    write_faults(path, table)
    thread = threading.Thread(target=driver.create, args=[hung])
    thread.start()

    driver.create(free)
    write_faults(path, {**table, "delete": []})
    time.sleep(0.2)
    assert thread.is_alive()
    assert driver.size_of(hung) is None
    write_faults(path, {})
    thread.join(5)

    assert not thread.is_alive()
    assert driver.size_of(hung) == 1


def test_a_call_takes_as_long_as_its_latency() -> None:
    driver = fake_backend(latency={"create": 0.1, "delete": [0.05, 0.1]})
    volume = volume_in(driver)

    calls: list[Callable[[VolumeRef], object]] = [driver.create, driver.delete]
    took: list[float] = []
    for call in calls:
        begun = time.monotonic()
        call(volume)
        took.append(time.monotonic() - begun)

    assert took[0] >= 0.1
    assert took[1] >= 0.05
    assert sum(took) < 1


def test_without_latency_a_create_costs_next_to_nothing(tmp_path: Path) -> None:
    driver = fake_backend(faults_file=str(tmp_path / "none.json"))
    volumes = [volume_in(driver) for _ in range(2000)]
    begun = time.perf_counter()

    for volume in volumes:
        driver.create(volume)

    assert (time.perf_counter() - begun) / 2000 < 0.0005


def test_write_faults_replaces_in_one_move(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    write_faults(path, {"create": []})
    write_faults(path, {"delete": []})

    assert json.loads(path.read_text()) == {"delete": []}
    assert [one.name for one in tmp_path.iterdir()] == ["faults.json"]
