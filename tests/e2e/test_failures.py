"""Storage that fails, or is full, or gone: another node, or `error` with a reason; nothing left."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from drivers.folder import MARKER
from tests.e2e.conftest import NODES, Lab, Site, make_site

FAULTS = {
    "clean": {"fault": "fail_before", "message": "no such shelf"},
    "dirty": {"fault": "fail_after", "message": "cable pulled"},
    "unknown": {"fault": "lose"},
}


@pytest.mark.parametrize("outcome", FAULTS)
def test_a_node_that_fails_is_passed_over(lab: Lab, project: str, outcome: str) -> None:
    lab.faults("node1", create=[FAULTS[outcome]])
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()

    assert lab.holds(volume) == {f"node2/volume-{volume}.1"}
    (flow,) = lab.stack.flows(volume, project)
    assert (flow["state"], flow["attempt"], flow["excluded_hosts"]) == ("succeeded", 2, ["node1"])
    creates = [step for step in flow["steps"] if step["step"] == "create"]
    assert [(one["node"], one["outcome"]) for one in creates] == [
        ("node1", outcome),
        ("node2", "done"),
    ]
    undone = [step["step"] for step in flow["steps"] if step["undo"]]
    assert undone == (["destroy"] if outcome == "dirty" else []) + ["release_claim"]


@pytest.mark.parametrize("outcome", FAULTS)
def test_three_nodes_that_fail_are_the_end(lab: Lab, project: str, outcome: str) -> None:
    for node in NODES:
        lab.faults(node, create=[FAULTS[outcome]])
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "error", project)
    lab.truth.settled()

    assert lab.holds(volume) == set()
    assert lab.truth.usage(project, "volumes") == (0, 0)
    assert lab.truth.usage(project, "gigabytes") == (0, 0)
    (flow,) = lab.stack.flows(volume, project)
    assert (flow["state"], flow["attempt"]) == ("failed", 3)
    said = CliRunner().invoke(main, ["flow", "show", "--url", lab.stack.url, volume])
    assert said.exit_code == 0, said.output
    assert FAULTS[outcome].get("message", "the fake was told to fail") in said.output
    assert lab.stack.call("DELETE", f"/volumes/{volume}", project=project).status_code == 202
    lab.stack.wait_for_status(volume, "gone", project)
    lab.truth.settled()


def test_no_node_with_room_says_why_for_each_pool(lab: Lab, project: str) -> None:
    volume = lab.stack.create(project, 990)
    lab.stack.wait_for_status(volume, "available", project)
    quota = {"quota_set": {"gigabytes": 10**6}}
    assert lab.stack.call("PUT", f"/os-quota-sets/{project}", quota).status_code == 200
    larger = lab.stack.create(project, 500_000)
    lab.stack.wait_for_status(larger, "error", project)
    (flow,) = lab.stack.flows(larger, project)
    assert {pool["filter"] for pool in flow["error"]["pools"]} == {"capacity"}
    assert len(flow["error"]["pools"]) == len(NODES)
    lab.truth.settled()


def test_a_dirty_failure_whose_clean_up_fails_too(lab: Lab, project: str) -> None:
    table = {"create": [FAULTS["dirty"]], "delete": [{"fault": "fail_before", "left": "dirty"}]}
    lab.faults("node1", **table)
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    assert lab.truth.residues() == [f"node1/volume-{volume}"]
    lab.truth.settled(residues=1)
    lab.release()
    lab.truth.settled()
    assert lab.holds(volume) == {f"node2/volume-{volume}.1"}


def test_a_delete_that_fails_goes_on_by_itself(lab: Lab, project: str) -> None:
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    lab.faults("node1", delete=[{"fault": "fail_before"}])
    assert lab.stack.call("DELETE", f"/volumes/{volume}", project=project).status_code == 202
    lab.stack.wait_for_status(volume, "error_deleting", project)
    assert lab.truth.usage(project, "volumes") == (1, 0)
    lab.release()
    lab.stack.wait_for_status(volume, "gone", project)
    lab.truth.settled()
    assert lab.truth.usage(project, "volumes") == (0, 0)


def test_an_extend_that_fails_gives_its_growth_back(lab: Lab, project: str) -> None:
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    lab.faults("node1", extend=[{"fault": "fail_before"}])
    body = {"os-extend": {"new_size": 4}}
    answer = lab.stack.call("POST", f"/volumes/{volume}/action", body, project)
    assert answer.status_code == 202
    lab.truth.settled()
    shown = lab.stack.volume(volume, project)
    assert shown is not None
    assert (shown["status"], shown["size"]) == ("error_extending", 1)
    assert lab.truth.usage(project, "gigabytes") == (1, 0)


# -- real storage ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 GiB, of its own, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536m", "tmpfs", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs (root)")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_full_leaves_no_file(tmp_path: Path, small_disk: Path, project: str) -> None:
    with ExitStack() as ending:
        site = make_site(tmp_path, None)
        stack = site.stack
        ending.callback(site.truth.close)
        ending.callback(stack.close)
        stack.start("broker", "api", "control", "scheduler", "events", "beat")
        options = {"FOLDER": str(small_disk), "ALLOCATION": "thick"}
        stack.start("node1", **{f"BACKENDS__FILE__{key}": value for key, value in options.items()})
        stack.wait_until_up("node1")
        with stack.paused("events"):  # nobody hears how full the disk has become
            with (small_disk / "foreign").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 700 << 20)
            volume = stack.create(project)
            stack.wait_for_status(volume, "error", project)
        assert {file.name for file in small_disk.iterdir()} == {MARKER, "foreign"}
        assert site.truth.usage(project, "gigabytes") == (0, 0)
        (flow,) = stack.flows(volume, project)
        assert "No space left" in str(flow["steps"])


def test_a_folder_that_is_gone(site: Site, project: str) -> None:
    """The volume goes to the other node; with none left it is an error, and nothing is made."""
    away = [(site.folder(node), site.folder(node).with_name("away")) for node in NODES[:2]]
    here, there = away[0]
    here.rename(there)
    try:
        volume = site.stack.create(project)
        site.stack.wait_for_status(volume, "available", project)
        shown = site.stack.volume(volume, project)
        assert shown is not None
        assert shown["os-vol-host-attr:host"].startswith("node2@")
        away[1][0].rename(away[1][1])
        lost = site.stack.create(project)
        site.stack.wait_for_status(lost, "error", project)
        assert not here.exists()
        assert not away[1][0].exists()
    finally:
        for folder, elsewhere in away:
            if elsewhere.exists():
                elsewhere.rename(folder)
    site.stack.wait_until_up()
    site.truth.settled()
    assert site.truth.usage(project, "volumes") == (1, 0)
