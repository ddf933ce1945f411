"""What waits in the queues of a broker."""

import base64
import json

import redis


def bodies(broker: "redis.Redis", queue: str) -> list[str]:
    """The bodies of the messages in a queue, the newest first."""
    found = broker.lrange(queue, 0, -1)
    assert isinstance(found, list)
    return [base64.b64decode(json.loads(envelope)["body"]).decode() for envelope in found]
