"""Quota limits, usage, and the reservations of running flows.

Resources are `volumes`, `gigabytes` and their like, and per volume type `volumes_<type id>` and
`gigabytes_<type id>`: by id, so that renaming a type moves nothing.
"""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base


class Quota(Base):
    """A project's own limit for a resource; -1 is no limit."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    hard_limit: Mapped[int]


class QuotaClass(Base):
    """A class's limit for a resource; the class `default` is every project's default."""

    __tablename__ = "quota_classes"

    class_name: Mapped[str] = mapped_column(String(255), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    hard_limit: Mapped[int]


class QuotaUsage(Base):
    """What a project's rows are charged (`in_use`) and what running flows reserve."""

    __tablename__ = "quota_usages"

    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    in_use: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class Reservation(Base):
    """What one running flow has reserved of one resource."""

    __tablename__ = "reservations"

    flow_id: Mapped[str] = mapped_column(
        ForeignKey("flows.id", ondelete="CASCADE"), primary_key=True
    )
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    delta: Mapped[int]
