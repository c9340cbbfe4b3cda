"""Cleaning up: old logs, audio of jobs that are over, caches; and disks that do not fill."""
