import sys
from pathlib import Path

import pytest
from marshmallow import fields

from drivers import registry
from drivers.errors import InvalidOptions, UnknownDriver
from drivers.fake import FakeDriver, FakeOptions
from drivers.file import FileDriver


def announce(folder: Path, name: str, value: str) -> None:
    """Make `folder` look like an installed package that offers a driver."""
    about = folder / f"{name}_driver-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-driver\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {value}\n")


def test_the_drivers_of_this_package_are_found() -> None:
    assert {"fake", "file"} <= set(registry.driver_names())
    assert registry.driver_class("file") is FileDriver
    assert registry.driver_class("fake") is FakeDriver


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownDriver, match=r"'flie'.*fake.*file"):
        registry.driver_class("flie")


def test_a_table_without_a_driver_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownDriver, match=r"backends\.main.*fake, file"):
        registry.load_backend("main", {"folder": "/x"})


def test_a_backend_gets_its_name_and_its_validated_options() -> None:
    driver = registry.load_backend("main", {"driver": "fake", "total_gib": "12"})

    assert driver.backend == "main"
    assert driver.options["total_gib"] == 12.0
    assert driver.options["max_over_subscription_ratio"] == 20.0
    assert driver.options["reserved_percentage"] == 0
    assert driver.options["operation_timeout"] == 60.0


def test_an_unknown_option_names_those_that_are_allowed() -> None:
    with pytest.raises(InvalidOptions) as refused:
        registry.load_backend("main", {"driver": "file", "folder": "/x", "foldr": 1})

    said = str(refused.value)
    assert "backends.main: unknown option 'foldr'" in said
    assert "allocation, create_folder, driver, folder" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "folder: Missing data"),
        ({"folder": ""}, "folder = ''"),
        ({"folder": 3}, "folder = 3"),
        ({"folder": "/x", "format": "vmdk"}, "format = 'vmdk': Must be one of: raw, qcow2."),
        ({"folder": "/x", "reserved_percentage": 101}, "reserved_percentage = 101"),
        ({"folder": "/x", "reserved_percentage": -1}, "reserved_percentage = -1"),
        ({"folder": "/x", "max_over_subscription_ratio": 0.5}, "max_over_subscription_ratio = 0.5"),
        ({"folder": "/x", "total_gib": 0}, "total_gib = 0"),
        ({"folder": "/x", "total_gib": float("nan")}, "total_gib = nan"),
        ({"folder": "/x", "operation_timeout": 0}, "operation_timeout = 0"),
        ({"folder": "/x", "pool": "a#b"}, "pool = 'a#b'"),
        ({"folder": "/x", "create_folder": "perhaps"}, "create_folder = 'perhaps'"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidOptions) as refused:
        registry.load_backend("main", {"driver": "file", **options})

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latency": {"create": [2, 1]}}, "latency.create = [2, 1]: Must be [least, most]"),
        ({"latency": {"create": -1}}, "latency.create = -1: Must be greater"),
        ({"latency": {"crate": 1}}, "latency.crate: this key: Must be one of: check"),
        ({"faults": {"create": [{"fault": "x"}]}}, "faults.create.0.fault = 'x': Must be one of"),
        ({"faults": {"create": [{}]}}, "faults.create.0.fault: Missing data"),
        ({"faults": {"create": [{"fault": "hang", "tmies": 1}]}}, "faults.create.0.tmies = 1"),
    ],
)
def test_a_wrong_option_inside_another_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidOptions) as refused:
        registry.load_backend("main", {"driver": "fake", **options})

    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["", "a@b", "a#b", "a b", "a/b", ".x", "x" * 65, "é"])
def test_a_backend_name_that_would_break_a_pool_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidOptions):
        registry.load_backend(name, {"driver": "fake"})


class SecretiveOptions(FakeOptions):
    password = fields.Integer(metadata={"secret": True})


class SecretiveDriver(FakeDriver):
    options_schema = SecretiveOptions


def test_a_secret_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secretive.py").write_text(f"from {__name__} import SecretiveDriver\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    announce(tmp_path, "secretive", "secretive:SecretiveDriver")

    with pytest.raises(InvalidOptions) as refused:
        registry.load_backend("main", {"driver": "secretive", "password": "hunter2"})

    assert "password: Not a valid integer" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module_at_all:Driver", "cannot be loaded: No module named"),
        ("json:no_such_name", "cannot be loaded"),
        ("json:JSONDecoder", "is not a Driver"),
    ],
)
def test_a_driver_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    announce(tmp_path, "broken", value)

    with pytest.raises(UnknownDriver, match=f"'broken'.*{said}"):
        registry.driver_class("broken")
