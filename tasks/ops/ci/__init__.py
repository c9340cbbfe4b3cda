"""Continuous integration: what failed, why, and whether it is flaky."""
