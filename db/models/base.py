"""The declarative base and the column types that every model shares."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import JSON, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

Json = JSON().with_variant(JSONB(), "postgresql")
NullableJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Uuid = String(36)


class Base(DeclarativeBase):
    """Base of all models; times are naive UTC, as the API shows them."""


def utcnow() -> datetime:
    """Now, in UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_id() -> str:
    """A new random UUID in its text form."""
    return str(uuid.uuid4())
