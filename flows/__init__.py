"""The flows: `from flows import process_audio`.

A flow is loaded when it is first asked for: all of them take twice as long as the one that a command wants.
"""

import os

# Before Prefect is imported: the server that it may start for a flow of ours does not phone home.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
