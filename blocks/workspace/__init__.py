"""The files that an agent may see: one folder, and nothing that a name or a link leads to outside of it."""

from blocks.workspace.names import INSIDE, is_protected
from blocks.workspace.workspace import Entry, Workspace

__all__ = ["INSIDE", "Entry", "Workspace", "is_protected"]
