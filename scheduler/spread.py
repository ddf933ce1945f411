"""Chance that can be repeated: the same volume and pool always draw the same number."""

from zlib import crc32

_RANGE = 1 << 32


def seed(volume_id: str) -> int:
    """What `draw` wants to know of a volume; worked out once per request."""
    return crc32(volume_id.encode())


def draw(seed: int, pool_id: int) -> float:
    """A number from 0 to 1 (excluded), as good as random over volumes and pools, and the same in
    every process: Python salts the hash of a string, but not that of integers."""
    return hash((seed, pool_id)) % _RANGE / _RANGE
