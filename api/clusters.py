"""Clusters of volume services: /clusters, from 3.7 on. There are none.

Services of one cluster share backends, and take over from each other. Here a backend belongs to
one storage node, and everything else takes from shared queues, so nothing is to be clustered.
"""

from typing import Any, NoReturn

from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import at_least
from api.policy import authorize
from api.schemas.clusters import ClusterBody, ClustersAnswer

blp = Blueprint("clusters", __name__, description="Clusters of services, of which there are none")


@blp.get("/clusters")
@blp.response(200, ClustersAnswer)
def list_clusters() -> dict[str, Any]:
    """List the clusters."""
    return _none()


@blp.get("/clusters/detail")
@blp.response(200, ClustersAnswer)
def list_clusters_in_detail() -> dict[str, Any]:
    """List the clusters with their details."""
    return _none()


def _none() -> dict[str, Any]:
    _authorize("clusters:get_all")
    return {"clusters": []}


@blp.get("/clusters/<name>")
@blp.response(200, ClustersAnswer)
def show_cluster(name: str) -> NoReturn:
    """Show a cluster: 404."""
    _authorize("clusters:get")
    raise _missing(name)


@blp.put("/clusters/enable")
@blp.arguments(ClusterBody)
@blp.response(200, ClustersAnswer)
def enable(body: dict[str, Any]) -> NoReturn:
    """Enable a cluster: 404."""
    _authorize("clusters:update")
    raise _missing(body["name"])


@blp.put("/clusters/disable")
@blp.arguments(ClusterBody)
@blp.response(200, ClustersAnswer)
def disable(body: dict[str, Any]) -> NoReturn:
    """Disable a cluster: 404."""
    _authorize("clusters:update")
    raise _missing(body["name"])


def _authorize(rule: str) -> None:
    if not at_least(7):
        raise ApiError(404, "The resource could not be found.")
    authorize(rule)


def _missing(name: str) -> ApiError:
    return ApiError(404, f"Cluster {name} could not be found.")
