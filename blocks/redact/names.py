"""Names of things that are secret: `DB_PASSWORD`, `apiKey`, `client-key-data`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

LONGEST_NAME = 64

NUMBER = r"(?:[_\-]?[0-9]{1,3}|[_\-](?:value|plain|raw|text|string))?"
"""What may follow within the name."""


@dataclass(frozen=True)
class Stem:
    """How names of a kind of secret end.

    Attributes:
        kind: What is secret.
        anchor: What is searched for, in lower case.
        pattern: The end of the name, from the anchor on.
        fits: Whether a whole name, in lower case, is one.
    """

    kind: str
    anchor: str
    pattern: str
    fits: Callable[[str], bool]


NO_SECRETS = re.compile(
    r"(?:\A|[_\-.])(?:eos|bos|pad|unk|sep|cls|mask|special|stop|start|next|page|sync|continuation|cancel|cancellation"
    r"|fencing|lease)[_\-.]?token\Z|(?:existing|pull)[_\-]?secret\Z|next(?:page)?token\Z"
)
"""Tokens of texts, of lists and of locks, and names of Kubernetes secrets."""

KEYS = re.compile(
    r"(?:api|access|secret|private|signing|signature|encryption|decryption|account|shared|master|auth|subscription"
    r"|service|deploy|crypt|hmac|fernet|webhook|license|session|client|app|application|consumer|admin|root|rsa|ecdsa"
    r"|ed25519|functions|jwt|ssh|openai|anthropic|gemini|google|maps|azure|stripe|twilio|sendgrid|mailgun|datadog"
    r"|github|gitlab|slack|huggingface|hf|mistral|groq|deepseek|cohere|openrouter)"
    r"[_\-. ]?key(?:[_\-](?:data|base64|pem))?\Z"
)
PASSES = re.compile(r"(?:[_\-.]|\b(?:db|user|smtp|ssh|root|admin|my|ftp|imap|mail|ldap|mqtt|require|master)|\A)pass\Z")
AUTHS = re.compile(r"(?:_|master|proxy|redis)auth\Z")
VIETNAMESE = re.compile(r"m[aậ]t[_\- ]?kh[aẩ]u\Z")


def _is_named(name: str) -> bool:
    return NO_SECRETS.search(name) is None


def _is_pass(name: str) -> bool:
    return not name.endswith("pass") or PASSES.search(name) is not None


STEMS: tuple[Stem, ...] = (
    Stem("password", "pass", r"pass(?:words?|wd|phrase|wort|code)?", lambda name: _is_pass(name) and _is_named(name)),
    Stem("password", "pwd", "pwd", lambda name: True),
    Stem("secret", "secret", r"secret(?:[_\-]?(?:access[_\-]?)?key)?(?:[_\-]?base)?", _is_named),
    Stem("token", "token", "token", _is_named),
    Stem("api-key", "key", r"key(?:[_\-](?:data|base64|pem))?", lambda name: KEYS.search(name) is not None),
    Stem("credentials", "credential", "credentials?", lambda name: True),
    Stem("credentials", "auth", "auth", lambda name: AUTHS.search(name) is not None),
    Stem("password", "khẩu", "khẩu", lambda name: VIETNAMESE.search(name) is not None),
    Stem("password", "khau", "khau", lambda name: VIETNAMESE.search(name) is not None),
)
WHOLE = {
    "cookie": "cookie",
    "set-cookie": "cookie",
    "set_cookie": "cookie",
    "authorization": "authorization",
    "proxy-authorization": "authorization",
    "proxy_authorization": "authorization",
    "psk": "password",
    "wpa_psk": "password",
}
"""Names that are secret as a whole."""

ENDS = tuple((stem, re.compile(f"({stem.pattern}){NUMBER}\\Z")) for stem in STEMS)


@lru_cache(maxsize=4096)
def secret_kind(name: str) -> str | None:
    """What a field of this name holds; None when it is no secret. Blanks count as underscores."""
    lowered = "_".join(name[-LONGEST_NAME:].lower().split())
    if lowered in WHOLE:
        return WHOLE[lowered]
    for stem, end in ENDS:
        if (match := end.search(lowered)) and stem.fits(lowered[: match.end(1)]):
            return stem.kind
    return None
