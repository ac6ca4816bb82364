"""Sessions that were ended are looked for by when, and a person's by whose they are

Revision: 0002, after 0001, 2026-11-30 12:45:00.000000
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("refresh_families", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_refresh_families_revoked_at"), ["revoked_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_refresh_families_subject"), ["subject"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("refresh_families", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refresh_families_subject"))
        batch_op.drop_index(batch_op.f("ix_refresh_families_revoked_at"))
