"""Files that are not ours: which can be adopted, which cannot and why, and what names may do."""

import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import GIB, Driver, Manages, ObjectRef, VolumeRef
from drivers.errors import DriverFailed, InvalidReference, OutOfSpace
from drivers.folder import HALF_MADE, MARKER
from drivers.names import UNMANAGED
from tests.drivers.contract import volume_in
from tests.drivers.test_file import file_backend, names_in, needs_qemu, path_of


class Fixture:
    """A file back end, and the folder that it is in."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.driver: Driver = file_backend(folder, **options)
        self.driver.check()
        assert isinstance(self.driver, Manages)
        self.manages: Manages = self.driver

    def put(self, name: str, size: int = GIB, start: bytes = b"theirs") -> Path:
        """A file of somebody else."""
        path = self.folder / name
        path.write_bytes(start)
        os.truncate(path, size)
        return path

    def listed(self) -> dict[str, tuple[int, str | None]]:
        return {
            one.reference["source-name"]: (one.size_gib, one.reason)
            for one in self.manages.manageable("volumes")
        }

    def adopt(self, name: str) -> VolumeRef:
        volume = volume_in(self.driver)
        self.manages.adopt(ObjectRef(volume.object_name, volume.pool), {"source-name": name})
        return volume


@pytest.fixture
def raw(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path / "volumes")


@pytest.fixture
def qcow2(tmp_path: Path) -> Fixture:
    needs_qemu()
    return Fixture(tmp_path / "volumes", format="qcow2")


def test_a_file_is_adopted_with_what_it_holds_and_rounded_up(raw: Fixture) -> None:
    path = raw.put("disk.img", GIB + 1)
    path.chmod(0o644)
    assert raw.listed() == {"disk.img": (2, None)}

    volume = raw.adopt("disk.img")

    made = path_of(raw.driver, volume)
    assert not path.exists()
    assert (made.stat().st_size, made.stat().st_mode & 0o777) == (2 * GIB, 0o600)
    with made.open("rb") as file:
        assert file.read(6) == b"theirs"
    assert raw.driver.size_of(volume) == 2


@pytest.mark.parametrize("name", ["файл", "a b\tc\n", "🙂" * 60, "-rf", "volume-1", "UNMANAGED"])
def test_names_that_files_may_have(raw: Fixture, name: str) -> None:
    raw.put(name)
    assert raw.listed() == {name: (1, None)}

    volume = raw.adopt(name)
    raw.manages.release(ObjectRef(volume.object_name, volume.pool), name)

    assert names_in(raw.folder) == {MARKER, name}


@pytest.mark.parametrize(
    "name",
    [
        *("../outside", "..", ".", "/etc/passwd", "sub/file", "./disk.img", "a\0b", "x" * 256),
        *(
            MARKER,
            ".hidden",
            HALF_MADE + "volume-1",
            "\ud800",
            b"\xff".decode(errors="surrogateescape"),
        ),
    ],
)
def test_names_that_no_request_may_use(raw: Fixture, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (raw.folder / "sub").mkdir()
    for path in (raw.folder / "sub" / "file", raw.folder / ".hidden"):
        path.write_bytes(b"precious")
    before = names_in(raw.folder)

    with pytest.raises(InvalidReference) as refused:
        raw.adopt(name)

    assert refused.value.left == "clean"
    assert names_in(raw.folder) == before
    assert (tmp_path / "outside").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["../away", "/away", ".hidden", "a/b", "volume-{}", ""])
def test_a_former_name_is_believed_no_more_than_any_other(
    raw: Fixture, tmp_path: Path, name: str
) -> None:
    volume = volume_in(raw.driver)
    raw.driver.create(volume)
    former = name.format(volume.volume_id[::-1])

    raw.manages.release(ObjectRef(volume.object_name, volume.pool), former)

    given = names_in(raw.folder) - {MARKER}
    assert given == {UNMANAGED + volume.object_name} or given == {former}
    assert not (tmp_path / "away").exists()


def _link(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(b"precious")
    path.symlink_to(outside)


def _second_name(path: Path) -> None:
    path.write_bytes(b"precious")
    os.link(path, path.parent.parent / "outside")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_link, "not a regular file"),
        (_second_name, "second name"),
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_bytes(b"QFI\xfb and more"), "a qcow2 image"),
    ],
)
def test_what_is_no_image_of_one_s_own_is_listed_with_the_reason_and_stays(
    raw: Fixture, make: Callable[[Path], None], reason: str
) -> None:
    make(raw.folder / "thing")
    ((_, why),) = raw.listed().values()
    assert why is not None
    assert reason in why

    with pytest.raises(InvalidReference, match=reason):
        raw.adopt("thing")

    assert names_in(raw.folder) == {MARKER, "thing"}
    outside = raw.folder.parent / "outside"
    assert not outside.exists() or outside.read_bytes() == b"precious"


def qemu_image(path: Path, *options: str) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "1536M"]
    subprocess.run(command, check=True)


def test_a_qcow2_image_is_adopted_and_grows_to_whole_gib(qcow2: Fixture) -> None:
    qemu_image(qcow2.folder / "disk.qcow2")
    assert qcow2.listed() == {"disk.qcow2": (2, None)}

    volume = qcow2.adopt("disk.qcow2")

    assert qcow2.driver.size_of(volume) == 2
    subprocess.run(["qemu-img", "check", "-q", path_of(qcow2.driver, volume)], check=True)


def test_a_qcow2_image_that_reads_other_files_is_refused(qcow2: Fixture, tmp_path: Path) -> None:
    """Otherwise whoever can put a file there could read any file of the node through it."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(GIB // 1024))
    qemu_image(qcow2.folder / "backed", "-b", str(secret), "-F", "raw")
    qemu_image(qcow2.folder / "apart", "-o", f"data_file={tmp_path / 'data'}")
    (qcow2.folder / "raw").write_bytes(b"x" * 4096)
    header = struct.pack(">4sIQIIQI", b"QFI\xfb", 2, 0, 0, 16, GIB, 1)
    (qcow2.folder / "secret").write_bytes(header)

    assert {name: why for name, (_, why) in qcow2.listed().items()} == {
        "backed": "it has a backing file",
        "apart": "its data are in another file",
        "raw": "the file is not a qcow2 image",
        "secret": "it is encrypted",
    }
    for name in qcow2.listed():
        with pytest.raises(InvalidReference):
            qcow2.adopt(name)


def test_an_adoption_that_was_killed_between_the_two_names_is_finished(raw: Fixture) -> None:
    path, volume = raw.put("disk.img"), volume_in(raw.driver)
    os.link(path, path_of(raw.driver, volume))
    reference = {"source-name": "disk.img"}

    raw.manages.adopt(ObjectRef(volume.object_name, volume.pool), reference)

    assert names_in(raw.folder) == {MARKER, volume.object_name}


def test_an_adoption_that_was_killed_between_the_two_names_is_undone(raw: Fixture) -> None:
    path, volume = raw.put("disk.img"), volume_in(raw.driver)
    os.link(path, path_of(raw.driver, volume))

    raw.manages.release(ObjectRef(volume.object_name, volume.pool), "disk.img")

    assert names_in(raw.folder) == {MARKER, "disk.img"}


def test_a_release_never_replaces_a_file(raw: Fixture) -> None:
    volume = volume_in(raw.driver)
    raw.driver.create(volume)
    raw.put(UNMANAGED + volume.object_name, 5)

    with pytest.raises(DriverFailed) as refused:
        raw.manages.release(ObjectRef(volume.object_name, volume.pool))

    assert refused.value.left == "clean"
    assert (raw.folder / (UNMANAGED + volume.object_name)).stat().st_size == 5
    assert raw.driver.size_of(volume) == 1


def test_a_volume_that_a_virtual_machine_writes_to_is_not_adopted(
    raw: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.put("disk.img")
    monkeypatch.setattr("drivers.file_manage.has_writer", lambda _: True)

    with pytest.raises(InvalidReference, match="virtual machine"):
        raw.adopt("disk.img")


def test_a_file_that_does_not_fit_when_rounded_up_stays_as_it_was(small: Path) -> None:
    thick = Fixture(small, allocation="thick")
    thick.put("disk.img", GIB - 1)
    before = (small / "disk.img").stat()

    with pytest.raises(OutOfSpace) as full:
        thick.adopt("disk.img")

    assert full.value.left == "clean"

    assert (small / "disk.img").stat().st_size == before.st_size
    assert names_in(small) == {MARKER, "disk.img"}
