"""The escalation chain."""
