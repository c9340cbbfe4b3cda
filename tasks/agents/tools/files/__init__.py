"""Tools for the files of the workspace."""

from typing import Any

from tasks.agents.tool import Tool
from tasks.agents.tools.files import deleting, reading, writing

TOOLS: tuple[Tool[Any], ...] = (*reading.TOOLS, *writing.TOOLS, *deleting.TOOLS)
