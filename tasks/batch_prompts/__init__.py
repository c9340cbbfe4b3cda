"""Prompts over tables of thousands of rows: chunks by group, every asked-for row proven to be there, none twice."""
