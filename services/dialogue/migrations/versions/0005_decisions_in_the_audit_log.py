"""Decisions about actions in the desk's audit log

Revision: 0005, after 0004, 2026-11-30 16:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("desk_events", schema=None) as batch_op:
        batch_op.alter_column("conversation_id", existing_type=sa.String(length=64), nullable=True)
        batch_op.alter_column("handoff_id", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM desk_events WHERE conversation_id IS NULL OR handoff_id IS NULL")
    with op.batch_alter_table("desk_events", schema=None) as batch_op:
        batch_op.alter_column("handoff_id", existing_type=sa.Integer(), nullable=False)
        batch_op.alter_column("conversation_id", existing_type=sa.String(length=64), nullable=False)
