"""Quality audits: what the results of a period are held against, and what is told of it."""
