"""Approvals: asked, answered, and what they come to."""
