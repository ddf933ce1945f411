"""Fixtures of a storage node."""

import uuid

import pytest


@pytest.fixture
def host() -> str:
    """A host of its own for each test: memory:// is shared by all of them."""
    return f"node-{uuid.uuid4().hex[:8]}"
