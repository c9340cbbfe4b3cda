"""Capacity: when a resource runs out, by its history, and what to do about it."""
