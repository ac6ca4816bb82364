"""Sessions are looked for by when they were ended and whose they are; initial passwords have an end; the audit log is sealed

Revision: 0002, after 0001, 2026-11-30 12:45:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("initial_until", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("place", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("seal", sa.String(length=64), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_audit_events_tenant"), ["tenant", "place"])
    with op.batch_alter_table("refresh_families", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_refresh_families_revoked_at"), ["revoked_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_refresh_families_subject"), ["subject"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("refresh_families", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refresh_families_subject"))
        batch_op.drop_index(batch_op.f("ix_refresh_families_revoked_at"))
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_audit_events_tenant"), type_="unique")
        batch_op.drop_column("seal")
        batch_op.drop_column("place")
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_column("initial_until")
