"""What is only in the database, as unchanged public clients use it: the `cinder` command, and
openstacksdk."""

import contextlib
import io
from collections.abc import Iterator

import openstack
import pytest
from cinderclient import exceptions
from cinderclient.shell import OpenStackCinderShell
from openstack.block_storage.v3._proxy import Proxy
from sqlalchemy import select

from db.models import Volume
from db.transactions import reading
from tests.api.conftest import PROJECT, volume
from tests.api.serving import serving
from tests.api.test_messages import message


@pytest.fixture
def url(environ: dict[str, str]) -> Iterator[str]:
    with serving(environ) as address:
        yield address


class Cinder:
    """The `cinder` command, as a user of a project who speaks one version."""

    def __init__(self, url: str, project: str = PROJECT, version: str = "3.71") -> None:
        self.options = ["--os-auth-type", "noauth", "--os-endpoint", f"{url}/v3"]
        self.options += ["--os-user-id", "alice", "--os-project-id", project]
        self.options += ["--os-volume-api-version", version]

    def __call__(self, words: str) -> list[list[str]]:
        """Run it; returns the cells of the table that it prints."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            OpenStackCinderShell().main([*self.options, *words.split(" ")])
        lines = [line for line in said.getvalue().splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    def show(self, words: str) -> dict[str, str]:
        """The same of a table of properties and values."""
        return {row[0]: row[1] for row in self(words)}


@pytest.fixture
def cinder(url: str) -> Cinder:
    return Cinder(url)


def test_types_with_encryption_and_qos(cinder: Cinder) -> None:
    cinder("type-create secret --description hidden")
    shown = cinder.show(
        "encryption-type-create secret luks --cipher aes-xts-plain64 --key-size 256"
    )
    type_id = next(iter(cinder("encryption-type-list")[1:]))[0]
    assert type_id in shown
    cinder("encryption-type-update secret --key-size 512")
    assert "512" in cinder("encryption-type-show secret")[1]
    cinder("encryption-type-delete secret")
    assert len(cinder("encryption-type-list")) <= 1

    qos = cinder.show("qos-create gold consumer=front-end read_iops_sec=500")["id"]
    cinder(f"qos-key {qos} set write_iops_sec=9")
    cinder(f"qos-key {qos} unset read_iops_sec")
    assert "write_iops_sec : 9" in cinder.show(f"qos-show {qos}")["specs"]
    cinder(f"qos-associate {qos} {type_id}")
    assert cinder(f"qos-get-association {qos}")[1][1:] == ["secret", type_id]
    with pytest.raises(exceptions.BadRequest, match="associated"):
        cinder(f"qos-delete {qos}")
    cinder(f"qos-disassociate {qos} {type_id}")
    cinder(f"qos-disassociate-all {qos}")
    cinder(f"qos-delete {qos} --force True")
    assert len(cinder("qos-list")) <= 1

    cinder("type-key secret set media=ssd")
    assert "media : ssd" in cinder.show("type-show secret")["extra_specs"]
    cinder(f"default-type-set secret {PROJECT}")
    assert cinder("default-type-list")[1] == [type_id, PROJECT]
    assert cinder("type-default")[1][1] == "secret"
    cinder(f"default-type-unset {PROJECT}")
    cinder("type-delete secret")
    assert [row[1] for row in cinder("type-list")[1:]] == ["__DEFAULT__"]


@pytest.mark.parametrize("version", ["3.71", "3.0"])
def test_a_volume_changes_hands(url: str, version: str) -> None:
    giver, taker = Cinder(url, version=version), Cinder(url, "other", version)
    volume_id = volume(name="gift")
    giver("transfer-create gift --name dropped")
    (dropped,) = giver("transfer-list")[1:]
    giver(f"transfer-delete {dropped[0]}")
    offered = giver.show("transfer-create gift --name offer")
    assert giver.show(f"transfer-show {offered['id']}")["volume_id"] == volume_id
    taker(f"transfer-accept {offered['id']} {offered['auth_key']}")
    with reading() as tx:
        found = tx.get_one(Volume, volume_id)
        assert (found.project_id, found.status) == ("other", "available")


def test_quota_and_limits(cinder: Cinder) -> None:
    cinder("type-create fast")
    cinder("quota-update p --volumes 3 --gigabytes 50 --volume-type fast")
    shown = cinder.show("quota-show p")
    assert (shown["volumes_fast"], shown["gigabytes_fast"]) == ("3", "50")
    usage = {row[0]: row[1:4] for row in cinder("quota-usage p")}
    assert usage["volumes_fast"] == ["0", "0", "3"]
    cinder("quota-delete p")
    assert cinder.show("quota-show p")["volumes_fast"] == "-1"
    cinder("quota-class-update default --volumes 7")
    assert cinder.show("quota-class-show default")["volumes"] == "7"
    assert cinder.show("quota-defaults p")["volumes"] == "7"
    assert cinder.show("absolute-limits")["maxTotalVolumes"] == "7"


def test_messages(cinder: Cinder) -> None:
    message_id = message(resource_uuid="3b6a4e0a-1f0b-4f57-8f0f-5d0c4a2b9f11")
    other = message(resource_type="VOLUME_SNAPSHOT")
    assert {row[0] for row in cinder("message-list")[1:]} == {message_id, other}
    (found,) = cinder("message-list --resource_type VOLUME_SNAPSHOT")[1:]
    assert found[0] == other
    assert cinder.show(f"message-show {message_id}")["event_id"] == "VOLUME_VOLUME_001_003"
    cinder(f"message-delete {message_id} {other}")
    assert len(cinder("message-list")) <= 1


@pytest.fixture
def storage(url: str) -> Iterator[Proxy]:
    endpoint = f"{url}/v3/{PROJECT}"
    with openstack.connect(
        auth_type="none",
        block_storage_api_version="3",
        block_storage_default_microversion="3.71",
        block_storage_endpoint_override=endpoint,
        endpoint=endpoint,
    ) as connection:
        yield connection.block_storage


def test_openstacksdk_with_types(storage: Proxy) -> None:
    kind = storage.create_type(name="secret")
    storage.create_type_encryption(kind, provider="luks", control_location="front-end")
    encryption = storage.get_type_encryption(kind.id)
    assert encryption.provider == "luks"
    storage.update_type_encryption(encryption, kind, cipher="aes-xts-plain64")
    storage.delete_type_encryption(encryption, kind)

    qos = storage.create_qos_spec(name="gold", consumer="both", read_iops_sec="5")
    assert storage.get_qos_spec(qos).specs == {"read_iops_sec": "5"}
    storage.update_qos_spec(qos, write_iops_sec="6")
    storage.delete_qos_spec_metadata(qos, ["read_iops_sec"])
    assert [one.specs for one in storage.qos_specs()] == [{"write_iops_sec": "6"}]
    storage.associate_qos_spec(qos, kind.id)
    (association,) = storage.qos_spec_associations(qos)
    assert association.id == kind.id
    storage.disassociate_qos_spec(qos, kind.id)
    storage.disassociate_all_qos_spec(qos)
    storage.delete_qos_spec(qos)

    storage.set_default_type(PROJECT, kind)
    assert storage.show_default_type(PROJECT).volume_type_id == kind.id
    assert [one.project_id for one in storage.default_types()] == [PROJECT]
    storage.unset_default_type(PROJECT)
    storage.delete_type(kind)


def test_openstacksdk_with_transfers_messages_and_quota(storage: Proxy) -> None:
    volume_id = volume()
    offered = storage.create_transfer(volume_id=volume_id, name="offer")
    assert [one.id for one in storage.transfers()] == [offered.id]
    storage.accept_transfer(offered.id, offered.auth_key)
    with reading() as tx:
        assert tx.scalars(select(Volume.status)).all() == ["available"]

    message_id = message()
    assert [one.id for one in storage.messages()] == [message_id]
    storage.delete_message(message_id)
    assert list(storage.messages()) == []

    assert storage.get_quota_set(PROJECT, usage=True).usage["volumes"] == 0
    assert storage.update_quota_set(PROJECT, volumes=4).volumes == 4
    assert storage.get_limits().absolute.max_total_volumes == 4
