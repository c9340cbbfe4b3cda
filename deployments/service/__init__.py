"""The service: what one machine runs, and what is defined on its Prefect server."""
