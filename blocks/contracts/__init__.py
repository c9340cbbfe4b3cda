"""Contracts: what every table that crosses a boundary must be, and where it is held against that."""
