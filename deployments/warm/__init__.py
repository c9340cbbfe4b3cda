"""The worker type `warm`: runs start from a process that has Prefect and our flows loaded already.

Prefect imports this package through the entry point group `prefect.collections` whenever it needs
to know all worker types, so it defines the worker and loads nothing else.
"""

from deployments.warm.worker import WarmWorker

__all__ = ["WarmWorker"]
