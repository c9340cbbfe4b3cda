"""The HTTP APIs of the providers; each a row of `DIALECTS` and a file."""
