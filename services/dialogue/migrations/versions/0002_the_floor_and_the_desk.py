"""Who has the floor of a conversation, what a hand-off tells an agent, and the desk's audit log

Revision: 0002, after 0001, 2026-11-30 12:45:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("status <> 'closed'")


def upgrade() -> None:
    # Plain ADD COLUMNs: none of them rewrites the table, on either database.
    op.add_column("conversations", sa.Column("floor", sa.String(128), server_default="assistant", nullable=False))
    op.add_column("entries", sa.Column("customer", sa.String(64), nullable=True))
    op.add_column("handoffs", sa.Column("flow", sa.String(128), nullable=True))
    op.add_column("handoffs", sa.Column("slots", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("handoffs", sa.Column("told", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("handoffs", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("handoffs", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("handoffs", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_handoffs_queue", "handoffs", ["tenant", "status", "id"])
    # Before this revision a conversation was handed over once at most, so none has two that are open.
    op.create_index(
        "uq_handoffs_open", "handoffs", ["conversation_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "desk_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("conversation_id", sa.String(length=64), nullable=False),
        sa.Column("handoff_id", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_events")),
    )
    op.create_index(op.f("ix_desk_events_conversation_id"), "desk_events", ["conversation_id"])
    op.create_index(op.f("ix_desk_events_tenant"), "desk_events", ["tenant"])
    # Whoever waited for a person or was with one keeps waiting, or stays with them.
    op.execute(
        sa.text(
            "UPDATE conversations SET floor = coalesce((SELECT handoffs.agent FROM handoffs"
            " WHERE handoffs.conversation_id = conversations.id AND handoffs.status = 'claimed'), 'queue'),"
            " answered_seq = last_seq, pending_since = NULL"
            " WHERE id IN (SELECT conversation_id FROM handoffs WHERE status <> 'closed')"
        )
    )


def downgrade() -> None:
    op.drop_table("desk_events")
    op.drop_index("uq_handoffs_open", "handoffs")
    op.drop_index("ix_handoffs_queue", "handoffs")
    with op.batch_alter_table("handoffs", schema=None) as batch_op:
        for column in ("closed_at", "claimed_at", "note", "told", "slots", "flow"):
            batch_op.drop_column(column)
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.drop_column("customer")
    with op.batch_alter_table("conversations", schema=None) as batch_op:
        batch_op.drop_column("floor")
