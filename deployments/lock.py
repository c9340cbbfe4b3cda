"""`python -m deployments.lock`: what is installed, as plain `name==version` lines without addresses."""

import re
from importlib.metadata import distributions

OURS = {"c500", "pip", "setuptools", "wheel"}
HEAVY = {"torch"}
"""Installed only on purpose, and not from where the rest comes."""


def pins() -> list[str]:
    """One line a distribution, sorted by normalised name; local versions (`+cpu`) left out."""
    found = {
        re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower(): item.version.split("+")[0] for item in distributions()
    }
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in OURS | HEAVY]


if __name__ == "__main__":
    print("\n".join(pins()))
