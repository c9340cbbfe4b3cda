"""The REST gateway: recordings in over HTTP, status and results out."""
