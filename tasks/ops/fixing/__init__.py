"""Tests put right: one fix per branch, test files only, passed thrice, never merged."""
