"""deliveries of messages, indexes for what is asked again and again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_messages_pending", "messages", ["conversation_id", "id"], "state = 'pending'"),
    ("ix_deliveries_cards", "deliveries", ["conversation_id", "id"], "substr(key, 1, 5) = 'card:'"),
    (
        "ix_deliveries_unfinished",
        "deliveries",
        ["chat_id", "id"],
        "state IN ('pending', 'sending')",
    ),
    (
        "ix_deliveries_shown",
        "deliveries",
        ["conversation_id", "sent_at"],
        "state = 'sent' AND topic_of IS NOT NULL",
    ),
)


def upgrade() -> None:
    op.add_column("messages", sa.Column("delivery_key", sa.String(length=96), nullable=True))
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.create_index(op.f("ix_feedback_created_at"), "feedback", ["created_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_feedback_created_at"), "feedback")
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table)
    # Not in batch mode: on SQLite that makes the table anew, which others refer to.
    op.drop_column("messages", "delivery_key")
