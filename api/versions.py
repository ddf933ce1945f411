"""Which versions there are: / and /v3/, for anybody."""

from typing import Any

from api import links
from api.auth import public
from api.blueprint import Blueprint
from api.microversion import MAX_VERSION, MIN_VERSION, text
from api.schemas.versions import VersionsAnswer

blp = Blueprint("versions", __name__, description="Versions of the API")

UPDATED = "2023-08-31T00:00:00Z"
"""When the newest microversion that is spoken here was published."""


def _document() -> dict[str, Any]:
    return {
        "versions": [
            {
                "id": "v3.0",
                "status": "CURRENT",
                "version": text(MAX_VERSION),
                "min_version": text(MIN_VERSION),
                "updated": UPDATED,
                "links": [
                    {
                        "rel": "describedby",
                        "type": "text/html",
                        "href": "https://docs.openstack.org/",
                    },
                    {"rel": "self", "href": f"{links.base_url()}/v3/"},
                ],
                "media-types": [
                    {
                        "base": "application/json",
                        "type": "application/vnd.openstack.volume+json;version=3",
                    }
                ],
            }
        ]
    }


@blp.get("/")
@blp.response(300, VersionsAnswer)
@public
def list_versions() -> dict[str, Any]:
    """List the versions of the API; there is one."""
    return _document()


@blp.get("/v3/")
@blp.response(200, VersionsAnswer)
@public
def show_version() -> dict[str, Any]:
    """Show the range of microversions of v3."""
    return _document()
