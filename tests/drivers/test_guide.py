"""The drivers in docs/drivers.md, installed as the guide says and held to the contract."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from drivers import fake_faults
from drivers.base import ABILITIES, Driver, SnapshotRef, VolumeRef
from drivers.errors import InvalidOptions
from drivers.registry import driver_names, load_backend
from tests.drivers.contract import DataContract
from tests.drivers.copies import CopyDataContract
from tests.drivers.test_registry import announce

GUIDE = Path(__file__).parents[2] / "docs" / "drivers.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "guide_sparse.py").write_text("".join(blocks("python")[:2]))
    announce(packages, "sparse", "guide_sparse:SparseDriver")
    announce(packages, "copying", "guide_sparse:CopyingDriver")
    monkeypatch.syspath_prepend(packages)
    yield
    sys.modules.pop("guide_sparse", None)


class GuideContract(DataContract):
    """A driver of the guide on an empty folder."""

    name: ClassVar[str]

    @pytest.fixture
    def driver(self, tmp_path: Path, _installed: None) -> Driver:
        folder = tmp_path / "volumes"
        folder.mkdir()
        return load_backend("main", {"driver": self.name, "folder": str(folder)})

    def leave_half_made(self, driver: Driver, volume: VolumeRef) -> None:
        (Path(driver.options["folder"]) / volume.object_name).touch()

    def write(self, driver: Driver, volume: VolumeRef, offset: int, data: bytes) -> None:
        with (Path(driver.options["folder"]) / volume.object_name).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def read(self, driver: Driver, volume: VolumeRef, offset: int, length: int) -> bytes:
        with (Path(driver.options["folder"]) / volume.object_name).open("rb") as file:
            file.seek(offset)
            return file.read(length)


@pytest.mark.usefixtures("_installed")
class TestTheGuidesDriver(GuideContract):
    name = "sparse"

    def test_it_is_listed_beside_those_that_ship(self) -> None:
        assert {"fake", "file", "sparse"} <= set(driver_names())

    def test_its_options_are_checked(self) -> None:
        with pytest.raises(InvalidOptions, match="folder: Missing data"):
            load_backend("main", {"driver": "sparse"})

    def test_it_says_what_it_cannot_do(self, driver: Driver) -> None:
        said = driver.report()[0].capabilities
        assert [said[ability] for ability in ABILITIES] == [False] * len(ABILITIES)


class TestTheGuidesCopyingDriver(GuideContract, CopyDataContract):
    name = "copying"

    def leave_half_made_snapshot(self, driver: Driver, snapshot: SnapshotRef) -> None:
        (Path(driver.options["folder"]) / snapshot.object_name).touch()


def test_the_guides_faults_are_a_valid_table(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(blocks("json")[0])
    driver = load_backend("rehearsal", {"driver": "fake", "faults_file": str(path)})

    with pytest.raises(Exception, match="the array is being serviced"):
        driver.check()
    for kind in fake_faults.KINDS:
        assert f"| `{kind}` |" in GUIDE.read_text()
