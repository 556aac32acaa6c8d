"""what the bot says once in a conversation, and has said"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for the version before, which goes on opening conversations.
    said = sa.Column("said_once", sa.JSON(), nullable=False, server_default=sa.text("'[]'"))
    op.add_column("conversations", said)


def downgrade() -> None:
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("conversations", "said_once")
