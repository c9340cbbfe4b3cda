"""Replies of a few words that bridge what a child said and the main answer, and how fast a server gives them."""
