"""Runbooks: steps that people wrote down for known troubles, checked wholly, then carried out one by one."""
