"""Tests of steps for agent sessions."""
