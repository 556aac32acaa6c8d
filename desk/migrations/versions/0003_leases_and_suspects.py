"""leases, suspected messages, floods"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.add_column("messages", sa.Column("trial", sa.Integer(), server_default="0", nullable=False))
    op.add_column("customers", sa.Column("flooded_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("customers", "flooded_at")
    op.drop_column("messages", "trial")
    op.drop_table("leases")
