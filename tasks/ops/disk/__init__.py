"""Disks that are full: what fills them, and safe actions from a file of rules, in order, until there is room."""
