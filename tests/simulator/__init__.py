"""Tests of the simulator, which other tests then trust."""
