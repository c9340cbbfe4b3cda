"""The packages that measure; an extra, since nothing else needs them."""

from importlib import import_module
from typing import Any

from blocks.errors import Unsupported


def measuring(module: str) -> Any:
    """A module of the extra `quality`.

    Raises:
        Unsupported: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".", 1)[0]
        raise Unsupported(f"evaluating needs {package}", fix="pip install 'c500[quality]'") from error
