"""What Kubernetes keeps as secret: all values of a `kind: Secret`, whatever their names."""

import re
from collections.abc import Iterator

from blocks.redact.span import Span

IS_SECRET = re.compile(r"kind[\"']?:[ \t]{0,8}[\"']?Secret(?:List)?\b")
YAML_DATA = re.compile(r"^([ ]*)(?:data|stringData):[ \t]*\n((?:\1[ ]+[^\n]*(?:\n|\Z))+)", re.MULTILINE)
YAML_LINE = re.compile(r"^[ ]+(?:[\w.\-]+:[ \t]+)?(?![|>][+\-]?[ \t]*$)(\S[^\n]*)$", re.MULTILINE)
JSON_DATA = re.compile(r"\"(?:data|stringData)\"\s{0,64}:\s{0,64}\{([^{}]*)\}")
JSON_VALUE = re.compile(r":\s{0,64}\"([^\"\\]+(?:\\.[^\"\\]*)*)\"")
NAME_ONLY = re.compile(r"[\w.\-]+:[ \t]*\Z")


def kubernetes_secrets(text: str) -> Iterator[Span]:
    """The values of secrets as `kubectl get secret -o yaml` and `-o json` print them."""
    if "Secret" not in text or IS_SECRET.search(text) is None:
        return
    for block in YAML_DATA.finditer(text):
        for line in YAML_LINE.finditer(text, *block.span(2)):
            if not NAME_ONLY.fullmatch(line[1]):
                yield Span(*line.span(1), "secret")
    for block in JSON_DATA.finditer(text):
        for value in JSON_VALUE.finditer(text, *block.span(1)):
            yield Span(*value.span(1), "secret")
