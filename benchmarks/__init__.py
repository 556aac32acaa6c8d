"""Measurements, side by side in one run; benchmarks/RESULTS.md keeps the figures."""
