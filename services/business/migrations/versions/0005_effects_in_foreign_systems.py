"""Effects in foreign systems, approvals of any action

Revision: 0005, after 0004, 2026-11-30 19:40:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("actions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("assistant", sa.String(length=64), nullable=True))
        # The release before this one writes rows without it.
        batch_op.add_column(sa.Column("put_offs", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("tried_since", MOMENT, nullable=True))
        batch_op.create_index("ix_actions_customer", ["tenant", "customer", "id"], unique=False)

    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.add_column(sa.Column("step", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("undo", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("happened", sa.Boolean(), nullable=True))

    op.create_table(
        "effects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("undo", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("prepared", sa.JSON(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("called_at", MOMENT, nullable=True),
        sa.Column("doubtful_since", MOMENT, nullable=True),
        sa.Column("unknown_at", MOMENT, nullable=True),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_effects")),
        sa.UniqueConstraint("tenant", "action_id", "step", "undo", name="uq_effects_tenant_action_id"),
    )
    with op.batch_alter_table("effects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_effects_tenant"), ["tenant"], unique=False)
        doubtful = sa.text("doubtful_since IS NOT NULL")
        batch_op.create_index(
            "ix_effects_doubtful", ["doubtful_since"], unique=False, sqlite_where=doubtful, postgresql_where=doubtful
        )

    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.JSON(), nullable=True),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("remind_seconds", sa.Integer(), nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("reminded_at", MOMENT, nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("tenant", "action_id", name="uq_approvals_tenant_action_id"),
    )
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approvals_tenant"), ["tenant"], unique=False)
        undecided = sa.text("decision IS NULL")
        batch_op.create_index(
            "ix_approvals_undecided", ["created_at"], unique=False, sqlite_where=undecided, postgresql_where=undecided
        )


def downgrade() -> None:
    op.drop_table("approvals")
    op.drop_table("effects")

    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.drop_column("happened")
        batch_op.drop_column("undo")
        batch_op.drop_column("step")

    with op.batch_alter_table("actions", schema=None) as batch_op:
        batch_op.drop_index("ix_actions_customer")
        batch_op.drop_column("tried_since")
        batch_op.drop_column("put_offs")
        batch_op.drop_column("assistant")
