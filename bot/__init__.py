"""Telegram: the intake of updates, their handlers, and the sender. No model runs here."""
