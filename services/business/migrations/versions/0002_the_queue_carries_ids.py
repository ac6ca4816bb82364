"""The queue carries ids

Revision: 0002, after 0001, 2026-11-30 12:40:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("actions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("running_on", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
        # The release before this one writes rows without it.
        batch_op.add_column(sa.Column("sends", sa.Integer(), nullable=False, server_default="0"))

    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.add_column(sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("dismissed_by", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("dismissed_because", sa.String(length=500), nullable=True))

    op.create_table(
        "installation",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_installation")),
    )


def downgrade() -> None:
    op.drop_table("installation")

    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.drop_column("dismissed_because")
        batch_op.drop_column("dismissed_by")
        batch_op.drop_column("dismissed_at")

    with op.batch_alter_table("actions", schema=None) as batch_op:
        batch_op.drop_column("sends")
        batch_op.drop_column("not_before")
        batch_op.drop_column("running_on")
