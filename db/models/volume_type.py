"""Volume types, and the projects that may use a private one."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, new_id, utcnow

DEFAULT_TYPE_NAME = "__DEFAULT__"


class VolumeType(Base):
    """A volume type: a name and the extra specs that the scheduler and the driver read."""

    __tablename__ = "volume_types"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    is_public: Mapped[bool] = mapped_column(default=True)
    extra_specs: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    qos_specs_id: Mapped[str | None] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (Index("ix_volume_types_qos_specs", "qos_specs_id"),)

    @property
    def multiattach(self) -> bool:
        """Whether several hosts may have a volume of this type: it says so in Cinder's words."""
        return str(self.extra_specs.get("multiattach", "")).lower().split() == ["<is>", "true"]


class VolumeTypeEncryption(Base):
    """How a type's volumes are encrypted; `key_size` in bits, `control_location` front-end or
    back-end."""

    __tablename__ = "volume_type_encryption"

    volume_type_id: Mapped[str] = mapped_column(
        ForeignKey("volume_types.id", ondelete="CASCADE"), primary_key=True
    )
    encryption_id: Mapped[str] = mapped_column(Uuid, default=new_id, unique=True)
    provider: Mapped[str] = mapped_column(String(255))
    cipher: Mapped[str | None] = mapped_column(String(255))
    key_size: Mapped[int | None]
    control_location: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)


class DefaultVolumeType(Base):
    """The type that a project's volumes get when a request names none."""

    __tablename__ = "default_volume_types"

    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    volume_type_id: Mapped[str] = mapped_column(ForeignKey("volume_types.id"))

    __table_args__ = (Index("ix_default_volume_types_type", "volume_type_id"),)


class VolumeTypeAccess(Base):
    """One project's right to use one private type."""

    __tablename__ = "volume_type_access"

    volume_type_id: Mapped[str] = mapped_column(
        ForeignKey("volume_types.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
