"""Colours of style sheets, and how they stand out from each other."""

import re

DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}\s*\}")
NAMED = re.compile(r"--([\w-]+): (#[0-9a-f]{6});")


def schemes(css: str) -> list[dict[str, str]]:
    """The named colours of the light scheme, and of the dark one."""
    return [dict(NAMED.findall(part)) for part in (DARK.sub("", css), " ".join(DARK.findall(css)))]


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, contrast ratio."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Source: WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
