"""Benchmarks: ratios measured side by side in one run, against goals."""

import os

# Before Prefect is imported anywhere, as in tests/conftest.py: a quiet console, and nobody else's server.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ.pop("PREFECT_API_URL", None)
