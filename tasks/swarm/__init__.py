"""Thousands of rows through the account pool: one prompt each, none twice, none lost."""
