"""Migrations: phases that are verified, undone in reverse order when one fails, and gone on with after any crash."""
