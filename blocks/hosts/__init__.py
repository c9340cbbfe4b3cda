"""Hosts that operations look after: this machine and others over SSH, named in an inventory."""

from blocks.hosts.inventory import Inventory, Machine, read_inventory
from blocks.hosts.open import open_host
from blocks.hosts.protocol import CommandResult, Host, HostUnreachable

__all__ = ["CommandResult", "Host", "HostUnreachable", "Inventory", "Machine", "open_host", "read_inventory"]
