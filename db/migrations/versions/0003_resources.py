"""Snapshots, attachments, transfers, groups, QoS specs, encryption, default types and messages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NULLABLE_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADDED = {
    "backends": ["frozen"],
    "flows": ["parent_id", "told_parent", "children"],
    "volume_types": ["qos_specs_id"],
    "volumes": [
        "attach_status",
        "previous_status",
        "migration_status",
        "replication_status",
        "readonly",
        "image_metadata",
        "consumes_quota",
        "encryption_key_id",
        "snapshot_id",
        "source_volid",
        "group_id",
    ],
}
"""Columns of tables that were there before."""


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "group_types",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("group_specs", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("resource_type", sa.String(length=255), nullable=True),
        sa.Column("resource_uuid", sa.String(length=255), nullable=True),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("action_id", sa.String(length=10), nullable=False),
        sa.Column("detail_id", sa.String(length=10), nullable=False),
        sa.Column("message_level", sa.String(length=16), nullable=False),
        sa.Column("user_message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_messages_created", "messages", ["created_at", "id"])
    op.create_index("ix_messages_expires", "messages", ["expires_at"])
    op.create_index("ix_messages_project_created", "messages", ["project_id", "created_at", "id"])
    op.create_index("ix_messages_resource", "messages", ["resource_uuid"])

    op.create_table(
        "qos_specs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("consumer", sa.String(length=16), nullable=False),
        sa.Column("specs", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "default_volume_types",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("volume_type_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["volume_type_id"],
            ["volume_types.id"],
        ),
        sa.PrimaryKeyConstraint("project_id"),
    )
    op.create_index("ix_default_volume_types_type", "default_volume_types", ["volume_type_id"])

    op.create_table(
        "groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("group_type_id", sa.String(length=36), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("group_snapshot_id", sa.String(length=36), nullable=True),
        sa.Column("source_group_id", sa.String(length=36), nullable=True),
        sa.Column("replication_status", sa.String(length=36), nullable=True),
        sa.Column("charged_count", sa.Integer(), nullable=False),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["group_type_id"],
            ["group_types.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_groups_created", "groups", ["created_at", "id"])
    op.create_index("ix_groups_flow", "groups", ["flow_id"])
    op.create_index("ix_groups_project_created", "groups", ["project_id", "created_at", "id"])
    op.create_index("ix_groups_type", "groups", ["group_type_id"])

    op.create_table(
        "volume_type_encryption",
        sa.Column("volume_type_id", sa.String(length=36), nullable=False),
        sa.Column("encryption_id", sa.String(length=36), nullable=False),
        sa.Column("provider", sa.String(length=255), nullable=False),
        sa.Column("cipher", sa.String(length=255), nullable=True),
        sa.Column("key_size", sa.Integer(), nullable=True),
        sa.Column("control_location", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["volume_type_id"], ["volume_types.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("volume_type_id"),
        sa.UniqueConstraint("encryption_id"),
    )
    op.create_table(
        "group_snapshots",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("group_type_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.ForeignKeyConstraint(
            ["group_type_id"],
            ["group_types.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_group_snapshots_created", "group_snapshots", ["created_at", "id"])
    op.create_index("ix_group_snapshots_flow", "group_snapshots", ["flow_id"])
    op.create_index("ix_group_snapshots_group", "group_snapshots", ["group_id"])
    op.create_index(
        "ix_group_snapshots_project_created", "group_snapshots", ["project_id", "created_at", "id"]
    )

    op.create_table(
        "group_volume_types",
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("volume_type_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["volume_type_id"],
            ["volume_types.id"],
        ),
        sa.PrimaryKeyConstraint("group_id", "volume_type_id"),
    )
    op.create_index("ix_group_volume_types_type", "group_volume_types", ["volume_type_id"])
    _volumes_children()
    _columns()
    _audit_parts(sa.Column("listing", sa.String(length=36), nullable=False))


def _volumes_children() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("volume_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=True),
        sa.Column("attached_host", sa.String(length=255), nullable=True),
        sa.Column("mountpoint", sa.String(length=255), nullable=True),
        sa.Column("attach_mode", sa.String(length=36), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("connector", NULLABLE_JSON, nullable=True),
        sa.Column("connection_info", NULLABLE_JSON, nullable=True),
        sa.Column("attach_time", sa.DateTime(), nullable=True),
        sa.Column("detach_time", sa.DateTime(), nullable=True),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["volumes.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_attachments_created", "attachments", ["created_at", "id"])
    op.create_index("ix_attachments_flow", "attachments", ["flow_id"])
    op.create_index("ix_attachments_instance", "attachments", ["instance_id"])
    op.create_index(
        "ix_attachments_project_created", "attachments", ["project_id", "created_at", "id"]
    )
    op.create_index("ix_attachments_volume", "attachments", ["volume_id"])

    op.create_table(
        "snapshots",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("volume_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("progress", sa.String(length=16), nullable=True),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("volume_type_id", sa.String(length=36), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("consumes_quota", sa.Boolean(), nullable=False),
        sa.Column("group_snapshot_id", sa.String(length=36), nullable=True),
        sa.Column("pool_id", sa.Integer(), nullable=True),
        sa.Column("provider_location", sa.Text(), nullable=True),
        sa.Column("allocated_gib", sa.Integer(), nullable=False),
        sa.Column("charged_count", sa.Integer(), nullable=False),
        sa.Column("charged_gib", sa.Integer(), nullable=False),
        sa.Column("charged_type_id", sa.String(length=36), nullable=True),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["group_snapshot_id"],
            ["group_snapshots.id"],
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"],
            ["pools.id"],
        ),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["volumes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["volume_type_id"],
            ["volume_types.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_snapshots_created", "snapshots", ["created_at", "id"])
    op.create_index("ix_snapshots_flow", "snapshots", ["flow_id"])
    op.create_index("ix_snapshots_group_snapshot", "snapshots", ["group_snapshot_id"])
    op.create_index("ix_snapshots_pool", "snapshots", ["pool_id"])
    op.create_index("ix_snapshots_project_created", "snapshots", ["project_id", "created_at", "id"])
    op.create_index("ix_snapshots_project_name", "snapshots", ["project_id", "name"])
    op.create_index("ix_snapshots_project_status", "snapshots", ["project_id", "status"])
    op.create_index("ix_snapshots_type", "snapshots", ["volume_type_id"])
    op.create_index("ix_snapshots_volume", "snapshots", ["volume_id"])

    op.create_table(
        "transfers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("volume_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("key_hash", sa.String(length=128), nullable=False),
        sa.Column("no_snapshots", sa.Boolean(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("source_project_id", sa.String(length=255), nullable=False),
        sa.Column("destination_project_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["volume_id"], ["volumes.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_transfers_created", "transfers", ["created_at", "id"])
    op.create_index(
        "ix_transfers_project_created", "transfers", ["source_project_id", "created_at", "id"]
    )
    op.create_index("ix_transfers_volume", "transfers", ["volume_id"])


def _columns() -> None:
    op.add_column(
        "backends", sa.Column("frozen", sa.Boolean(), nullable=False, server_default=sa.false())
    )

    op.add_column("flows", sa.Column("parent_id", sa.String(length=36), nullable=True))
    op.add_column(
        "flows",
        sa.Column("told_parent", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "flows", sa.Column("children", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.create_index("ix_flows_parent", "flows", ["parent_id"])

    op.add_column("volume_types", sa.Column("qos_specs_id", sa.String(length=36), nullable=True))
    op.create_index("ix_volume_types_qos_specs", "volume_types", ["qos_specs_id"])

    op.add_column(
        "volumes",
        sa.Column("attach_status", sa.String(length=32), nullable=False, server_default="detached"),
    )
    op.add_column("volumes", sa.Column("previous_status", sa.String(length=32), nullable=True))
    op.add_column("volumes", sa.Column("migration_status", sa.String(length=32), nullable=True))
    op.add_column("volumes", sa.Column("replication_status", sa.String(length=32), nullable=True))
    op.add_column("volumes", sa.Column("readonly", sa.Boolean(), nullable=True))
    op.add_column(
        "volumes", sa.Column("image_metadata", JSON, nullable=False, server_default=sa.text("'{}'"))
    )
    op.add_column(
        "volumes",
        sa.Column("consumes_quota", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    op.add_column("volumes", sa.Column("encryption_key_id", sa.String(length=36), nullable=True))
    op.add_column("volumes", sa.Column("snapshot_id", sa.String(length=36), nullable=True))
    op.add_column("volumes", sa.Column("source_volid", sa.String(length=36), nullable=True))
    op.add_column("volumes", sa.Column("group_id", sa.String(length=36), nullable=True))
    op.create_index("ix_volumes_group", "volumes", ["group_id"])
    op.create_index("ix_volumes_snapshot", "volumes", ["snapshot_id"])
    op.create_index("ix_volumes_source", "volumes", ["source_volid"])


def _audit_parts(*listing: sa.Column[str]) -> None:
    """The table anew, with another key. What it holds is kept for seconds only."""
    op.drop_table("audit_parts")
    key = ["audit_id", "round", "backend", *(column.name for column in listing), "part"]
    op.create_table(
        "audit_parts",
        sa.Column("audit_id", sa.String(length=36), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("backend", sa.String(length=255), nullable=False),
        *listing,
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("objects", JSON, nullable=False),
        sa.ForeignKeyConstraint(["audit_id"], ["audits.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*key),
    )


def downgrade() -> None:
    """Back."""
    _audit_parts()
    op.drop_index("ix_volumes_source", "volumes")
    op.drop_index("ix_volumes_snapshot", "volumes")
    op.drop_index("ix_volumes_group", "volumes")
    op.drop_index("ix_volume_types_qos_specs", "volume_types")
    op.drop_index("ix_flows_parent", "flows")
    for table, columns in ADDED.items():
        for column in reversed(columns):
            op.drop_column(table, column)
    for table in (
        "transfers",
        "snapshots",
        "attachments",
        "group_volume_types",
        "group_snapshots",
        "volume_type_encryption",
        "groups",
        "default_volume_types",
        "qos_specs",
        "messages",
        "group_types",
    ):
        op.drop_table(table)
