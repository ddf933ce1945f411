"""The list of extensions."""

from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault


def test_extensions_are_listed_and_shown(admin: Caller, basic_app: Flask) -> None:
    listed = admin.get("/extensions").json
    assert listed is not None
    aliases = {one["alias"] for one in listed["extensions"]}
    assert {"os-quota-sets", "os-services", "scheduler-stats"} <= aliases
    shown = basic(basic_app, "ann", PROJECT).get("/extensions/os-services").json
    assert shown is not None
    assert shown["extension"] in listed["extensions"]
    fault(admin.get("/extensions/os-nothing"), 404, "itemNotFound")
