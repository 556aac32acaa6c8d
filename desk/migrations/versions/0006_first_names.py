"""customers' first names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customers", sa.Column("first_name", sa.String(length=256), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("customers", "first_name")
