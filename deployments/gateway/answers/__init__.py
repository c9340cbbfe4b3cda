"""From a run to an answer: whose it is, how far it is, what it made, and what of that is shown."""
