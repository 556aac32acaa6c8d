"""feedback that was withdrawn lately is found"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_feedback_withdrawn_at", "feedback", ["withdrawn_at"])


def downgrade() -> None:
    op.drop_index("ix_feedback_withdrawn_at", "feedback")
