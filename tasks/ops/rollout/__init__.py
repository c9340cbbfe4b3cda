"""Watching rollouts: canary against baseline, and back on evidence, once."""
