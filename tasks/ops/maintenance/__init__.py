"""Routine work on hosts: updates, rotation, pruning, backups, certificates, and commands of your own."""
