"""a spoken message's delivery"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("delivery_key", sa.String(length=96), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("messages", "delivery_key")
