"""which operator wrote a message, and operators' @names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("operator_id", sa.BigInteger(), nullable=True))
    op.add_column("operators", sa.Column("username", sa.String(64), nullable=True))


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("operators", "username")
    op.drop_column("messages", "operator_id")
