"""The operator's resources as unchanged public clients use them."""

from collections.abc import Iterator

import openstack
import pytest
from cinderclient import exceptions
from cinderclient.api_versions import APIVersion
from cinderclient.contrib import noauth
from cinderclient.v3.client import Client
from keystoneauth1.session import Session
from openstack.block_storage.v3._proxy import Proxy

from tests.api import rows
from tests.api.conftest import PROJECT, volume
from tests.api.serving import serving


@pytest.fixture
def url(environ: dict[str, str]) -> Iterator[str]:
    with serving(environ) as address:
        rows.clock(100)
        rows.answered("scheduler", 100)
        rows.node("node1", answered_tick=100)
        yield address


@pytest.fixture
def cinder(url: str) -> Client:
    plugin = noauth.CinderNoAuthPlugin("alice", PROJECT, endpoint=f"{url}/v3")
    return Client(session=Session(auth=plugin), api_version=None)


@pytest.fixture
def newest(url: str) -> Client:
    """The same, speaking the newest version."""
    plugin = noauth.CinderNoAuthPlugin("alice", PROJECT, endpoint=f"{url}/v3")
    return Client(session=Session(auth=plugin), api_version=APIVersion("3.71"))


@pytest.fixture
def storage(url: str) -> Iterator[Proxy]:
    endpoint = f"{url}/v3"
    with openstack.connect(
        auth_type="none",
        block_storage_api_version="3",
        block_storage_endpoint_override=endpoint,
        endpoint=endpoint,
    ) as connection:
        yield connection.block_storage


def test_cinderclient_manages_types(cinder: Client) -> None:
    made = cinder.volume_types.create("fast", "on flash", is_public=False)
    assert made.is_public is False
    made.set_keys({"media": "ssd", "tier": "1"})
    made.unset_keys(["tier"])
    assert cinder.volume_types.get(made.id).get_keys() == {"media": "ssd"}
    assert cinder.volume_types.find(name="fast").id == made.id
    assert cinder.volume_types.default().name == "__DEFAULT__"
    cinder.volume_type_access.add_project_access(made, "p")
    assert [one.project_id for one in cinder.volume_type_access.list(made)] == ["p"]
    cinder.volume_type_access.remove_project_access(made, "p")
    assert cinder.volume_types.update(made, name="quick").name == "quick"
    cinder.volume_types.delete(made)
    with pytest.raises(exceptions.NotFound):
        cinder.volume_types.get(made.id)


def test_cinderclient_manages_quotas(cinder: Client) -> None:
    cinder.volume_types.create("fast")
    assert cinder.quotas.update("p", volumes=5, gigabytes_fast=7).volumes == 5
    assert cinder.quotas.get("p").gigabytes_fast == 7
    assert cinder.quotas.get("p", usage=True).volumes == {"limit": 5, "in_use": 0, "reserved": 0}
    assert cinder.quotas.defaults("p").volumes == 10
    cinder.quotas.delete("p")
    assert cinder.quotas.get("p").volumes == 10
    assert cinder.quota_classes.update("default", volumes=20).volumes == 20
    assert cinder.quota_classes.get("default").volumes == 20
    absolute = {limit.name: limit.value for limit in cinder.limits.get().absolute}
    assert absolute["maxTotalVolumes"] == 20
    with pytest.raises(exceptions.BadRequest, match="melons"):
        cinder.quotas.update("p", melons=1)


def test_cinderclient_sees_the_site(cinder: Client) -> None:
    assert {(one.binary, one.host, one.state) for one in cinder.services.list()} == {
        ("cinder-scheduler", "scheduler", "up"),
        ("cinder-volume", "node1@file", "up"),
    }
    backend = ("node1@file", "cinder-volume")
    assert cinder.services.disable_log_reason(*backend, "new disks").status == "disabled"
    assert cinder.services.list(host="node1@file")[0].disabled_reason == "new disks"
    assert cinder.services.enable(*backend).status == "enabled"
    (pool,) = cinder.pools.list(detailed=True)
    assert (pool.name, pool.total_capacity_gb) == ("node1@file#node1-file", 100.0)
    (zone,) = cinder.availability_zones.list()
    assert (zone.zoneName, zone.zoneState) == ("nova", {"available": True})
    version = cinder.services.server_api_version()[0]
    assert (version.version, version.min_version) == ("3.71", "3.0")


def test_openstacksdk_reads_the_same(storage: Proxy) -> None:
    made = storage.create_type(name="fast", is_public=False)
    assert made.is_public is False
    storage.update_type_extra_specs(made, media="ssd")
    assert storage.get_type(made.id).extra_specs == {"media": "ssd"}
    storage.delete_type_extra_specs(made, ["media"])
    storage.add_type_access(made, "p")
    assert [one["project_id"] for one in storage.get_type_access(made)] == ["p"]
    storage.update_type(made, name="quick")
    assert {one.name for one in storage.types(is_public="None")} == {"__DEFAULT__", "quick"}
    storage.delete_type(made.id)

    quota = storage.update_quota_set("p", volumes=5)
    assert quota.volumes == 5
    assert storage.get_quota_set("p", usage=True).usage["volumes"] == 0
    storage.revert_quota_set("p")
    assert storage.get_quota_set_defaults("p").volumes == 10
    assert storage.get_limits().absolute.max_total_volumes == 10

    (pool,) = storage.backend_pools()
    assert pool.capabilities["free_capacity_gb"] == 70.5
    assert {service.state for service in storage.services()} == {"up"}
    (zone,) = storage.availability_zones()
    assert zone.name == "nova"
    assert "os-services" in {extension.alias for extension in storage.extensions()}


def test_cinderclient_manages_the_site(newest: Client) -> None:
    newest.services.freeze_host("node1@file")
    (frozen,) = newest.services.list(host="node1@file")
    assert (frozen.frozen, frozen.status) == (True, "disabled")
    newest.services.thaw_host("node1@file")
    with pytest.raises(exceptions.BadRequest, match="replication"):
        newest.services.failover_host("node1@file", "elsewhere")
    with pytest.raises(exceptions.ClientException, match="restart"):
        newest.services.set_log_levels("DEBUG", "", "", "")
    assert {one.binary for one in newest.services.get_log_levels("", "", "api")} == {"cinder-api"}
    assert newest.capabilities.get("node1@file").display_name == "file on node1"
    assert newest.clusters.list(detailed=True) == []
    with pytest.raises(exceptions.NotFound):
        newest.clusters.show("c1")
    filters = {one.resource: one.filters for one in newest.resource_filters.list()}
    assert "bootable" in filters["volume"]
    cleaning, unavailable = newest.workers.clean(binary="cinder-volume")
    assert ([one.host for one in cleaning], unavailable) == (["node1@file"], [])
    search = {"name": "node1@file#node1-file", "volume_type": "__DEFAULT__"}
    assert newest.volumes.get_pools(detail="false", search_opts=search).pools == [
        {"name": "node1@file#node1-file"}
    ]


def test_cinderclient_lists_volumes_by_every_filter(newest: Client) -> None:
    image = {"os_type": "linux"}
    wanted = volume(name="disk", bootable=True, meta={"k": "v"}, image_meta=image, size=3)
    volume(name="other", created_at=rows.START)
    for search in (
        {"name": "disk"},
        {"name~": "IS"},
        {"bootable": True},
        {"metadata": {"k": "v"}},
        {"glance_metadata": image},
        {"size": 3},
        {"created_at": "gt:2026-03-02T00:00:00"},
    ):
        assert [one.id for one in newest.volumes.list(search_opts=search)] == [wanted], search
    everything = {
        "status": "available",
        "migration_status": "none",
        "attach_status": "detached",
        "consumes_quota": True,
        "project_id": PROJECT,
        "user_id": "alice",
        "all_tenants": 1,
    }
    assert len(newest.volumes.list(search_opts=everything, sort="size:asc,name")) == 2
    found, count = newest.volumes.list(search_opts={"with_count": True}, limit=1)
    assert (len(found), count) == (1, 2)
    totals = newest.volumes.summary(all_tenants=True)["volume-summary"]
    assert (totals["total_count"], totals["total_size"]) == (2, 4)
    shown = newest.volumes.get(wanted)
    assert shown.volume_image_metadata == image
    newest.volumes.set_image_metadata(wanted, {"min_disk": "1"})
    newest.volumes.delete_image_metadata(wanted, ["os_type"])
    assert newest.volumes.show_image_metadata(wanted)[1] == {"metadata": {"min_disk": "1"}}
