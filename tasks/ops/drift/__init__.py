"""Drift: what was declared against what is there; corrections only where the declaration marks them safe."""
