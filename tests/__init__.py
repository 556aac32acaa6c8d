"""Tests. Fixtures that several suites share stand in `conftest.py`."""
