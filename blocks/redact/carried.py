"""Credentials that a protocol or a program carries: in URLs, in headers, in arguments, in `.netrc`."""

import base64
import binascii
import re
from collections.abc import Iterator

from blocks.redact.harmless import is_word, names_no_secret
from blocks.redact.span import Span

URL = re.compile(r"([^\s/:@?#\"'<>\\]{0,256})(?::([^\s/?#\"'<>]{1,1024})(?=@))?(?=@)")
DATABASE = re.compile(
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|oracle|clickhouse|cockroachdb|sqlserver|ldaps?|smtps?)"
    r"(?:\+\w{1,20})?\Z"
)
DATABASE_URL = re.compile(r"[^\s/:@\"'<>\\]{0,256}:([^\s\"'<>]{1,256})(?=@[\w.\-\[\]]+(?::[0-9]+)?(?:[/?,\s\"']|\Z))")
"""Programs write passwords with `/`, `#` and `?` into the addresses of databases, though these want escapes there."""

LONG_USER = re.compile(r"[A-Za-z0-9_\-]{20,}")
GO_DSN = re.compile(r":([^\s@:\"'/]{1,200})\Z")

HEADER = re.compile(
    r"authorization\\{0,3}[\"']?(?:\]|\))?[ \t]{0,16}[:=,][ \t]{0,16}\\{0,3}[\"']?"
    r"((?:bearer|basic|token|apikey|api-key|digest|negotiate|ntlm|aws4-hmac-sha256)(?:[ \t]{1,8}|\\?$))?"
    r"([^\r\n\"'\\]{1,4096})"
)
BEARER = re.compile(r"bearer(?:[ \t]{1,8}|%20|:[ \t]{0,8})[\"']?([\w.~+/\-]{8,}=*)")
BASIC = re.compile(r"basic[ \t]{1,8}[\"']?([A-Za-z0-9+/\-_]{6,}={0,2})")
COOKIE = re.compile(r"cookie[\"']?:[ \t]{0,8}[\"']?([^\s=;,\"']{1,128}=[^\r\n\"']{1,4096})")
SIGNATURE = re.compile(r"(?:signature|sig)=([A-Za-z0-9%+/=_\-]{24,512})")
NETRC = re.compile(r"\b(?:login|machine|default|account)\s+\S{1,128}\s+\Z")
NETRC_PASSWORD = re.compile(r"password\s{1,64}([^\s:=\"']+)")
DOCKER = re.compile(r"\"auth\\?\"\s{0,16}:\s{0,16}\\?\"([A-Za-z0-9+/\-_]{6,}={0,2})")

ARGUMENTS = (
    (" -u", re.compile(r"[ =]?[\"']?([^\s:\"'$]{0,128}):([^\s\"']+)"), ("curl", "wget", "http "), "password"),
    ("--user", re.compile(r"[ =][\"']?([^\s:\"'$]{0,128}):([^\s\"']+)"), ("curl",), "password"),
    (" -p", re.compile(r"()[\"']?([^\s\"'=/\-][^\s\"']*)"), ("mysql", "mariadb"), "password"),
    (" -p", re.compile(r"()[ ]?[\"']?([^\s\"']+)"), ("sshpass",), "password"),
    (" -a", re.compile(r"()[ ][\"']?([^\s\"'\-][^\s\"']*)"), ("redis-cli",), "password"),
    (" -w", re.compile(r"()[ ][\"']?([^\s\"'\-][^\s\"']*)"), ("ldapsearch", "ldapmodify", "ldapadd"), "password"),
)
"""Options that carry a password without saying so: option, what follows, of which programs, kind."""

PROGRAM_BEFORE = 300
"""Characters before an option within which its program stands."""


def carried(text: str) -> Iterator[Span]:
    """The credentials a protocol or a program carries."""
    yield from _in_urls(text)
    yield from _in_arguments(text)
    lowered = text.lower()
    if len(lowered) == len(text):
        yield from _in_headers(text, lowered)
        yield from _in_files(text, lowered)


def is_basic(value: str) -> bool:
    """Whether it is the base64 of `user:password`, as of HTTP and of Docker's `auth`."""
    try:
        pair = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_" if set(value) & {"-", "_"} else None)
        return ":" in pair.decode()
    except (binascii.Error, ValueError):
        return False


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def _in_urls(text: str) -> Iterator[Span]:
    for at in _places(text, "://"):
        is_database = DATABASE.search(text[max(0, at - 40) : at].lower())
        if is_database and (match := DATABASE_URL.match(text, at + 3)) and not names_no_secret(match[1]):
            yield Span(*match.span(1), "url-password")
        elif (match := URL.match(text, at + 3)) is None:
            continue
        elif match[2] and not names_no_secret(match[2]):
            yield Span(*match.span(2), "url-password")
        elif LONG_USER.fullmatch(match[1]):
            yield Span(*match.span(1), "url-password")
    for protocol in ("@tcp(", "@unix("):
        for at in _places(text, protocol):
            if match := GO_DSN.search(text[max(0, at - 202) : at]):
                yield Span(at - len(match[1]), at, "url-password")


def _in_headers(text: str, lowered: str) -> Iterator[Span]:
    for at in _places(lowered, "authorization"):
        if (match := HEADER.match(lowered, at)) and _is_credential(text[match.start(2) : match.end(2)], match[1]):
            yield Span(match.start(2), match.start(2) + len(match[2].rstrip()), "authorization")
    for at in _places(lowered, "bearer"):
        if (match := BEARER.match(lowered, at)) and _is_token(text[match.start(1) : match.end(1)]):
            yield Span(*match.span(1), "authorization")
    for at in _places(lowered, "basic"):
        if (match := BASIC.match(lowered, at)) and is_basic(text[match.start(1) : match.end(1)]):
            yield Span(*match.span(1), "authorization")
    for at in _places(lowered, "cookie"):
        if match := COOKIE.match(lowered, at):
            yield Span(*match.span(1), "cookie")


def _is_credential(value: str, scheme: str | None) -> bool:
    """Whether what stands in an Authorization header is one: one word, or several after the name of a scheme."""
    words = value.split()
    if not words or names_no_secret(words[0]) or is_word(words[0].rstrip(".,;:)")):
        return False
    return _is_token(words[0]) or (bool(scheme) and len(words) == 1) or ("=" in value and bool(scheme))


def _is_token(value: str) -> bool:
    """Whether it is more than a word after «Bearer» in prose."""
    return any(char.isdigit() for char in value) or (len(value) >= 24 and value.lower() != value and "-" not in value)


def _in_files(text: str, lowered: str) -> Iterator[Span]:
    for at in _places(lowered, "password"):
        if (match := NETRC_PASSWORD.match(lowered, at)) and NETRC.search(lowered[max(0, at - 160) : at]):
            yield Span(*match.span(1), "password")
    for at in _places(text, '"auth'):
        if (match := DOCKER.match(text, at)) and is_basic(match[1]):
            yield Span(*match.span(1), "credentials")
    for at in _places(lowered, "sig"):
        if match := SIGNATURE.match(lowered, at):
            yield Span(*match.span(1), "credentials")


def _in_arguments(text: str) -> Iterator[Span]:
    for option, pattern, programs, kind in ARGUMENTS:
        for at in _places(text, option):
            before = text[max(0, at - PROGRAM_BEFORE) : at]
            match = pattern.match(text, at + len(option)) if any(program in before for program in programs) else None
            if match and not names_no_secret(match[2]) and not match[2].isdigit():
                yield Span(*match.span(2), kind)
