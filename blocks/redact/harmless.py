"""What stands where a secret could stand and is none: references, masks, words of prose and code."""

import re

REFERENCE = re.compile(
    r"\$\{[\w.:]+\}|\$\{\w+:?(?:\?[^}]*|-)\}?|\$[A-Za-z_]+|\$\([^()]*\)?|\$\{\{[^{}]*\}?\}?|\{\{[^{}]*\}?\}?|[_:.\-]*\{[^{}\s]{0,64}\}(?:[_:.\-]|\{[^{}\s]{0,64}\})*|%\(\w+\)s|%s|%\w+%"
    r"|<[|/]?[A-Za-z][\w .|\-]{0,60}>?|(?:env|file|vault|prefect|ssm|secretsmanager|op|block):[\w/.#~\-]+|!Ref|!Sub"
)
"""Names the place of a secret: `${VAR}`, `$(command)`, `{{ template }}`, `<your token>`, `env:NAME`."""

MASK = re.compile(
    r"(?:[*•●.…#_\-?]{1,64}|[xX]{3,64}|\[[A-Za-z0-9_ ]{1,24}\]|[A-Za-z0-9]{1,8}[_\-](?:\.{3}|…|\*{3,}|[xX]{3,}))"
)

PLACEHOLDER = re.compile(
    r"(?i:(?:your|my|some|the|an?)[_\- ](?:[a-z]+[_\- ]){0,3}(?:token|key|secret|password|credential)s?(?:[_\- ]here)?)"
    r"|(?i:(?:next|page|continuation)[_\-]?(?:page[_\-]?)?token)"
    r"|(?:TOKEN|PASSWORD|PASSWD|SECRET|KEY|API_KEY|NAME|VALUE|TEXT|FILE|PATH|STRING|ID)"
)

WORDS = re.compile(
    r"(?i:"
    r"none|null|nil|undefined|nan|true|false|yes|no|on|off|str|string|bytes|text|int|integer|number|bool|boolean"
    r"|object|any|array|list|dict|optional|required|needed|missing|empty|unset|set|hidden|masked|redacted|unknown"
    r"|invalid|valid|expired|revoked|rotated|changed|wrong|incorrect|failed|denied|rejected|accepted|forbidden"
    r"|enabled|disabled|present|absent|include|omit|same-origin|inherit|bearer|basic|n/a|ok|secretstr|secretbytes"
    r")"
)
"""What a field's value is in documents, schemas and messages."""

STOPS = re.compile(
    r"(?i:"
    r"is|are|was|to|or|and|the|for|a|an|option|options|flag|flags|from|with|in|as|if|when|must|can|may|not|of|on"
    r"|by|at|it|its|that|this|which"
    r")"
)
"""Words that follow the name of a flag in prose."""

CODE = re.compile(
    r"[A-Za-z_]{3,}[\w.]*[(\[].*"
    r"|(?:self|this|cls|os|env|process|settings|config|cfg|conf|args|options|opts|ctx|context|request|req|response|res"
    r"|resp|data|params|secrets|vars|var|local|module|each|inputs|github|steps|matrix|needs|props|state|event|user)"
    r"\.[A-Za-z_][\w.]*(?:[(\[].*)?|(?:await|new|not|lambda|async|return)|[{\[(]+(?:[A-Za-z_].*)?"
)
"""Calls, indices and attributes."""

CALL = re.compile(r"[a-z_]{2,}(?:\.[a-z_]{2,})+\(.*")
VARIABLE = re.compile(
    r"[a-z]{1,20}(?:[_.][a-z]{1,20}){1,5}|[A-Z]{1,20}(?:_[A-Z0-9]{1,20}){1,5}"
    r"|key|secret|token|password|value|name|field|response|result|code|text|line|item|data"
)
"""Names as programs give them: snake case, attributes, constants."""

MEASURE = re.compile(
    r"(?i)[0-9]+[-_]?[a-z]{1,12}|(?:base64|sha-?[0-9]|md5|utf-?8|oauth|aes|rs[0-9]{3}|hs[0-9]{3}|http|ipv[46]|x509).*"
)
"""`12-character`, `base64-encoded`: digits that make no secret."""

SHORT_WORD = re.compile(r"[A-Za-z]{1,12}")
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")
PATH = re.compile(r"(?:~|\.{0,2})/|[A-Za-z]:\\")
WORKING_FOLDERS = ("pwd", "oldpwd")


def names_no_secret(value: str) -> bool:
    """Whether a value is none whatever its name: nothing, a mask, a reference to where the secret lies."""
    return not value or bool(MASK.fullmatch(value) or REFERENCE.fullmatch(value))


def is_word(value: str) -> bool:
    """Whether a value is what documents and schemas have in a secret's place."""
    return bool(WORDS.fullmatch(value) or PLACEHOLDER.fullmatch(value))


def is_code(value: str, *, is_constant: bool) -> bool:
    """Whether a value is a call, an index or an attribute; what a constant is set to is one only if it must be."""
    return (CALL if is_constant else CODE).fullmatch(value) is not None


def is_variable(value: str) -> bool:
    """Whether a value is a name of a program."""
    return VARIABLE.fullmatch(value) is not None


def is_place(value: str, kind: str, name: str) -> bool:
    """Whether it is where a key lies, or the folder a shell is in."""
    return (kind == "api-key" or name.lower() in WORKING_FOLDERS) and PATH.match(value) is not None


def looks_random(value: str) -> bool:
    """Whether a value in the midst of prose is no word of it: letters and digits, or signs, that are no measure."""
    core = value.rstrip(".,;:!?)")
    if len(core) < 6 or MEASURE.fullmatch(core):
        return False
    digits, letters = any(char.isdigit() for char in core), any(char.isalpha() for char in core)
    return (digits and (letters or not core.isalnum())) or any(char in "!@$%^*=+~" for char in core)


def is_sentence(value: str) -> bool:
    """Whether a value is three words or more, none of them random: what a token is, not a token."""
    words = value.split()
    return len(words) >= 3 and not any(looks_random(word) for word in words)
