"""Deployments of services: checks, commands, verification; a history keeps them from going round in circles."""
