"""Secrets that are known by how they begin.

Sources: the token formats that providers publish for secret scanning, and the rules of gitleaks (MIT), read not copied.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from blocks.redact.span import Span

LONG_RUN = re.compile(r"[A-Za-z0-9_]{16}")
ESCAPED_BEFORE = re.compile(r"(?:\\[abfnrtv]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2})\Z")
"""What ends in a letter or digit, and yet is none: `\\n` in JSON, `%20` in a URL."""


def looks_drawn(value: str) -> bool:
    """Whether a value may come from a generator: it has a digit, and 16 characters without a dash among them."""
    return any(char.isdigit() for char in value) and LONG_RUN.search(value) is not None


def holds_json(value: str) -> bool:
    """Whether the first part of a JWT is the base64 of a JSON object; `eyJ` alone may begin other things."""
    head = value.partition(".")[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).lstrip()[:1] == b"{"
    except (binascii.Error, ValueError):
        return False


@dataclass(frozen=True)
class Shape:
    """How a kind of secret looks.

    Attributes:
        kind: What it is.
        anchor: How it begins.
        rest: Pattern of what follows; it matches or fails after few steps.
        apart: Characters that do not stand before it: none, those of words, or those of what follows.
        check: Whether a match is one.
    """

    kind: str
    anchor: str
    rest: str
    apart: str = ""
    check: Callable[[str], bool] | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What follows, compiled on first use: the table is long and most texts hold none of it."""
        return re.compile(self.rest)

    @cached_property
    def before(self) -> re.Pattern[str]:
        """What does not stand before it."""
        return re.compile(f"[{self.apart}]")

    def find(self, text: str) -> Iterator[Span]:
        """All in the text."""
        at = text.find(self.anchor)
        while at >= 0:
            end = at + len(self.anchor)
            match = self.pattern.match(text, end) if self._begins(text, at) else None
            if match is not None:
                end = match.end()
                if self.check is None or self.check(text[at:end]):
                    yield Span(at, end, self.kind)
            at = text.find(self.anchor, end)

    def _begins(self, text: str, at: int) -> bool:
        if not self.apart or at == 0 or not self.before.match(text[at - 1]):
            return True
        return ESCAPED_BEFORE.search(text[max(0, at - 6) : at]) is not None


LETTERS = "A-Za-z0-9"
WORD = r"A-Za-z0-9_\-"

SHAPES: tuple[Shape, ...] = (
    Shape("anthropic-key", "sk-ant-", r"[\w\-]{16,}"),
    Shape("openai-key", "sk-", r"[\w\-]{20,}", LETTERS, looks_drawn),
    Shape("aws-key", "AKIA", r"[A-Z0-9]{16}(?![A-Z0-9])", LETTERS),
    Shape("aws-key", "ASIA", r"[A-Z0-9]{16}(?![A-Z0-9])", LETTERS),
    *(Shape("github-token", f"gh{kind}_", r"\w{30,}") for kind in "pousr"),
    Shape("github-token", "github_pat_", r"\w{30,}"),
    *(
        Shape("gitlab-token", f"gl{kind}-", r"[\w.\-]{16,}", LETTERS)
        for kind in ("pat", "dt", "rt", "cbt", "ptt", "ft", "soat", "imt", "agent", "oas", "ffct")
    ),
    Shape("slack-token", "xox", r"[abceoprs](?:\.[a-z]{2,4})?-[\w\-.]{10,}", LETTERS),
    Shape("slack-token", "xapp-", r"[0-9]-[\w\-]{20,}", LETTERS),
    Shape("webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/[\w/+\-]{16,}"),
    Shape("webhook", "discord.com/api/webhooks/", r"[0-9]+/[\w\-]{20,}"),
    Shape("webhook", "discordapp.com/api/webhooks/", r"[0-9]+/[\w\-]{20,}"),
    Shape("webhook", ".webhook.office.com/", r"[\w/@\-]{40,}"),
    Shape("google-key", "AIza", r"[\w\-]{35}", LETTERS),
    Shape("google-key", "GOCSPX-", r"[\w\-]{20,}"),
    Shape("google-key", "ya29.", r"[\w\-.]{20,}", LETTERS),
    *(
        Shape("stripe-key", f"{kind}_{mode}_", r"[A-Za-z0-9]{10,}", LETTERS)
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    Shape("stripe-key", "whsec_", r"[A-Za-z0-9+/=]{16,}", LETTERS),
    Shape("c500-key", "c500_", r"[0-9a-f]{12}_[\w\-]{43}"),
    Shape("prefect-key", "pnu_", r"[A-Za-z0-9]{30,}", LETTERS),
    Shape("prefect-key", "pnb_", r"[A-Za-z0-9]{30,}", LETTERS),
    Shape("jwt", "eyJ", r"[\w\-]{5,}\.[\w\-]{4,}(?:\.[\w\-]*){1,3}", WORD, holds_json),
    Shape("private-key", "b3BlbnNzaC1rZXktdjE", r"[A-Za-z0-9+/=]*(?:\s+[A-Za-z0-9+/=]{20,})*"),
    # The base64 of `-----BEGIN `, as kubeconfigs have it, unless a certificate or a public key begins there.
    Shape("private-key", "LS0tLS1CRUdJTi", r"(?!BDRVJUSUZJQ0FURS|BQVUJMSUMg)[A-Za-z0-9+/=]{20,}"),
    Shape("vendor-key", "hf_", r"[A-Za-z]{30,}", LETTERS),
    Shape("vendor-key", "npm_", r"[A-Za-z0-9]{36,}", LETTERS),
    Shape("vendor-key", "pypi-AgEI", r"[\w\-]{20,}"),
    Shape("vendor-key", "dckr_pat_", r"[\w\-]{20,}"),
    Shape("vendor-key", "SG.", r"[\w\-]{16,}\.[\w\-]{16,}", LETTERS),
    Shape("vendor-key", "SK", r"[0-9a-f]{32}(?![0-9a-f])", LETTERS),
    Shape("vendor-key", "key-", r"[0-9a-f]{32}(?![0-9a-f])", LETTERS),
    *(Shape("vendor-key", f"do{kind}_v1_", r"[0-9a-f]{40,}") for kind in "opr"),
    Shape("vendor-key", "dapi", r"[0-9a-f]{32}(?:-[0-9])?(?![0-9a-f])", LETTERS),
    *(Shape("vendor-key", f"hv{kind}.", r"[\w\-]{20,}", LETTERS) for kind in "sbr"),
    Shape("vendor-key", ".atlasv1.", r"[\w\-=]{40,}"),
    *(Shape("vendor-key", f"shp{kind}_", r"[0-9a-fA-F]{32,}") for kind in ("at", "ca", "pa", "ss")),
    Shape("vendor-key", "gsk_", r"[A-Za-z0-9]{40,}", LETTERS),
    Shape("vendor-key", "xai-", r"[A-Za-z0-9]{40,}", LETTERS),
    Shape("vendor-key", "pplx-", r"[A-Za-z0-9]{40,}", LETTERS),
    Shape("vendor-key", "nvapi-", r"[\w\-]{40,}", LETTERS),
    Shape("vendor-key", "r8_", r"[A-Za-z0-9]{37,}", LETTERS),
    Shape("vendor-key", "csk-", r"[A-Za-z0-9]{40,}", LETTERS),
    Shape("vendor-key", "glsa_", r"[A-Za-z0-9]{32}_[0-9a-fA-F]{8}", LETTERS),
    Shape("vendor-key", "glc_", r"[A-Za-z0-9+/=]{32,}", LETTERS),
    Shape("vendor-key", "NRAK-", r"[A-Z0-9]{27}", LETTERS),
    Shape("vendor-key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}", LETTERS),
    Shape("vendor-key", "lin_api_", r"[A-Za-z0-9]{32,}", LETTERS),
    Shape("vendor-key", "ATATT3xFfGF0", r"[\w\-=]{20,}"),
    Shape("vendor-key", "sntrys_", r"[\w\-=+/]{20,}", LETTERS),
    Shape("vendor-key", "tskey-", r"[a-z]+-[\w\-]{16,}", LETTERS),
    Shape("vendor-key", "dp.pt.", r"[A-Za-z0-9]{40,}", LETTERS),
    Shape("vendor-key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    Shape("vendor-key", ":AA", r"(?<=[0-9]{8}:AA)[\w\-]{33}(?![\w\-])"),
)
"""By provider; a Telegram bot's begins with its number, which stays."""


def shaped(text: str) -> Iterator[Span]:
    """The secrets of known shapes."""
    for shape in SHAPES:
        if shape.anchor in text:
            yield from shape.find(text)
