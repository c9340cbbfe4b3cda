"""Changes: what a reviewer would say of a diff."""
