"""where customers' messages were forwarded from, and the addresses behind their words"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("forwarded_from", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("links", sa.Text(), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("messages", "links")
    op.drop_column("messages", "forwarded_from")
