"""Loads the plugin in every Python process of the suite: `rqworker` is started as a command too."""

import plugin  # noqa: F401
