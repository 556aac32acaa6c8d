"""reminders of customers who wait for a person"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("conversations", sa.Column("reminded_at", moment, nullable=True))
    name = op.f("ix_conversations_state_escalated_at")
    op.create_index(name, "conversations", ["state", "escalated_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_conversations_state_escalated_at"), "conversations")
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("conversations", "reminded_at")
