"""The case library: what was broken before, why, and what helped."""
