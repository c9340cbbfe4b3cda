"""Texts that look as if they were written to steer an agent, and not to tell it something."""

import re
import unicodedata

from blocks.memory.words import folded
from blocks.plain_text import INVISIBLE

EMOJI = "\ufe0f"
"""Not seen either, but behind many an emoji."""

LOOK_ALIKE = {"авекмнорстухіѕјԁɡ": "abekmhopctyxisjdg", "οαενικρτυχ": "oaevikptux", "’": "'"}
LIKE_LATIN = {ord(one): other for ones, others in LOOK_ALIKE.items() for one, other in zip(ones, others, strict=True)}
"""Cyrillic and Greek small letters that look like Latin ones."""

WORDS = {
    "SET_ASIDE": "ignore|disregard|forget|override|bypass|bo qua|quen|huy bo|vo hieu",
    "RULES": "instructions?|rules?|prompts?|guidelines?|polic(?:y|ies)|guardrails?|chi dan|huong dan|quy tac|lenh",
    "TELL": "tell|telling|inform|informing|mention|mentioning|ask|asking|alert|alerting|notify|notifying|log|logging",
    "PEOPLE": "users?|operators?|persons?|people|humans?|anyone|anybody|approval|permission|admins?|owners?",
    "CHECK": "approvals?|confirmations?|reviews?|audits?|sandbox|guard|safety",
    "SECRET": "passwords?|secrets?|credentials?|tokens?|api keys?|private keys?|ssh keys?|mat khau",
    "SEND": "send|post|upload|exfiltrate|forward|leak|email|transmit|gui",
    "ROLE": "system|assistant|developer|tool",
    "READ": "see|sees|read|reads|recall|recalls|remember|remembers|load|loads|are asked|is asked",
    "RUN": "run|execute|call|send|delete|post|download|use|always|must",
    "NOT": "never|not|no|nobody|cannot|don't|must",
}

RULES = "it tells the reader to set rules aside"
ROLE = "it gives the reader another role or task"
SYSTEM = "it speaks as the system"
HIDING = "it wants something hidden from people"
SENDING = "it wants secrets or data sent away"
WAITING = "it waits to be read to start something"
COMMAND = "it carries a command to fetch and run"

ROWS: tuple[tuple[str, str], ...] = (
    (RULES, r"\b(?:{SET_ASIDE})\b[^.!?\n]{,60}\b(?:{RULES})\b"),
    (ROLE, r"\byou are now\b|\bpretend (?:to be|you)\b|\bfrom now on,? you\b|\btu (?:bay )?gio (?:tro di,? )?ban\b"),
    (ROLE, r"\bact as (?:an? |the )?(?:admin|root|system|developer|dan)\b"),
    (ROLE, r"\bnew (?:instructions?|task|goal|role|system prompt) ?[:=]|\byour (?:real|true|new) (?:task|goal)\b"),
    (SYSTEM, r"(?:^|\n)[ \t]*(?:{ROLE}) ?(?:message|prompt)? ?:|\bsystem prompt\b|\[/?(?:inst|system)\]|<</?sys>>"),
    (SYSTEM, r"<\|[^|\n]{1,40}\|>|</?(?:memory|memories|instructions?|system|tool_call|function_calls?)\b[^>\n]{,80}>"),
    (HIDING, r"\b(?:do not|don't|never) (?:{TELL})\b[^.!?\n]{,40}\b(?:{PEOPLE})\b"),
    # «Never deploy without approval» is what a good agent remembers.
    (HIDING, r"(?:^|[.!?\n])(?:(?!\b(?:{NOT})\b)[^.!?\n]){,200}\bwithout (?:{TELL})\b[^.!?\n]{,40}\b(?:{PEOPLE})\b"),
    (HIDING, r"(?:^|[.!?\n])(?:(?!\b(?:{NOT})\b)[^.!?\n]){,200}\bwithout (?:any |further )?(?:permission|{CHECK})\b"),
    (HIDING, r"\b(?:skip|avoid|circumvent|disable)\b[^.!?\n]{,30}\b(?:{CHECK})\b"),
    (HIDING, r"\bkhong (?:can )?(?:hoi|bao|xin phep)\b[^.!?\n]{,30}\b(?:nguoi|ai|phep)\b"),
    (SENDING, r"\b(?:{SEND})\b[^.!?\n]{,80}(?:https?://|\b(?:{SECRET})\b)"),
    (SENDING, r"\b(?:print|reveal|show|read out)\b[^.!?\n]{,40}\b(?:your|all|any)\b[^.!?\n]{,30}\b(?:{SECRET})\b"),
    (WAITING, r"\b(?:when|whenever|once|if|as soon as) (?:you|the agent) (?:{READ})\b[^.!?\n]{,80}\b(?:{RUN})\b"),
    (WAITING, r"\b(?:immediately|first|always) (?:run|execute|call) (?:the )?(?:following|this|command|tool|`)"),
    (COMMAND, r"\b(?:curl|wget)\b[^\n|]{,200}\| ?(?:sudo )?(?:ba|z|da)?sh\b|\brm -rf? +(?:/|~|\$)"),
    (COMMAND, r"\bbase64 (?:-d|--decode)\b[^\n]{,80}\| ?(?:ba)?sh\b"),
)  # fmt: skip
"""Why a text is kept back, and what is looked for in its folded form. A second line of defence: what comes from
untrusted sources is kept back whatever it says."""


def _compiled(pattern: str) -> re.Pattern[str]:
    for name, choices in WORDS.items():
        pattern = pattern.replace(f"{{{name}}}", choices)
    return re.compile(pattern.replace("{,", "{0,"))


SUSPICIOUS = tuple((why, _compiled(pattern)) for why, pattern in ROWS)


def suspicions(text: str) -> tuple[str, ...]:
    """Why the text looks like instructions; empty when it does not."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    reasons = ["it has characters that cannot be seen"] if INVISIBLE.search(text.replace(EMOJI, "")) else []
    forms = _forms(text)
    reasons += [why for why, pattern in SUSPICIOUS if any(pattern.search(form) for form in forms)]
    return tuple(dict.fromkeys(reasons))


def _forms(text: str) -> set[str]:
    """The text as it reads: without hidden characters, accents and look-alikes; also with its blanks made single."""
    seen = folded(INVISIBLE.sub("", unicodedata.normalize("NFKC", text))).translate(LIKE_LATIN)
    return {seen, " ".join(seen.split())}
