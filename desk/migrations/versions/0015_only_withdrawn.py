"""the index of withdrawn feedback has what was withdrawn, and no more"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME, TABLE, COLUMNS = "ix_feedback_withdrawn_at", "feedback", ["withdrawn_at"]


def upgrade() -> None:
    op.drop_index(NAME, TABLE)
    where = sa.text("withdrawn_at IS NOT NULL")
    op.create_index(NAME, TABLE, COLUMNS, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index(NAME, TABLE)
    op.create_index(NAME, TABLE, COLUMNS)
