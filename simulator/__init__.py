"""A Telegram on one's own machine: strict Bot API server, control API and chat page.

It imports nothing of Frontdesk and no bot library, so that it stays an independent judge of both.
"""
