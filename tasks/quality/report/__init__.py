"""The report of a day or a week: what was done, how well, at what cost, and what needs a person."""
