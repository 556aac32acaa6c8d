"""The `frontdesk` command: the composition root, and the only reader of `desk.settings`.

Importing it is quick: torch, aiogram, SQLAlchemy and RQ are imported inside the verbs that need
them.
"""
