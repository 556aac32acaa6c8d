"""the sentiment that an operator says a message has"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feedback", sa.Column("sentiment", sa.String(16), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew.
    op.drop_column("feedback", "sentiment")
