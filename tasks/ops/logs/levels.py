"""How bad a line says it is."""

import re
from typing import Literal

Level = Literal["fatal", "error", "warning", "info", "debug", "none"]

BAD: frozenset[Level] = frozenset({"fatal", "error"})

NAMED: dict[str, Level] = {
    **dict.fromkeys(("fatal", "critical", "crit", "emerg", "emergency", "alert", "panic"), "fatal"),
    **dict.fromkeys(("error", "err", "severe"), "error"),
    **dict.fromkeys(("warning", "warn"), "warning"),
    **dict.fromkeys(("info", "notice", "information"), "info"),
    **dict.fromkeys(("debug", "trace", "verbose", "fine"), "debug"),
}
FIELD = re.compile(r"""(?:level|lvl|severity|loglevel)["']?\s?[:=]\s?["']?([A-Za-z]+)""", re.IGNORECASE)
WORD = re.compile(
    r"\b(FATAL|CRITICAL|CRIT|EMERG|EMERGENCY|ALERT|PANIC|ERROR|ERR|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE|VERBOSE)\b"
    r"|[\[<(](?i:(fatal|critical|crit|emerg|alert|panic|error|err|warning|warn|info|notice|debug|trace))[\]>):]"
)
KLOG = re.compile(r"^([FEWI])(?:0|<num>) ")
KLOG_LEVELS: dict[str, Level] = {"F": "fatal", "E": "error", "W": "warning", "I": "info"}
PLAIN = re.compile(
    r"^(?:\S+ ){0,4}?(?i:(fatal|panic|error|warning)): |(Traceback \(most recent call last\)|Segmentation fault"
    r"|Out of memory|\b[A-Za-z.]{0,80}(?:Exception|Error): )"
)
LOOKED_AT = 300
"""Characters of a line: what follows them is what it says, not what it is."""


def level_of(line: str) -> Level:
    """The level of a line or of its shape; `none` where it does not say."""
    start = line[:LOOKED_AT]
    if (found := FIELD.search(start)) and (level := NAMED.get(found[1].lower())):
        return level
    if found := WORD.search(start):
        return NAMED[(found[1] or found[2]).lower()]
    if found := KLOG.match(start):
        return KLOG_LEVELS[found[1]]
    if found := PLAIN.search(start):
        return NAMED[found[1].lower()] if found[1] else "error"
    return "none"
