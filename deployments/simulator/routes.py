"""Which account, API and action a request is for."""

from dataclasses import dataclass
from urllib.parse import unquote

from blocks.accounts.account import Dialect

POSTS: dict[str, tuple[Dialect, str]] = {
    "/v1/chat/completions": ("openai", "chat"),
    "/v1/embeddings": ("openai", "embeddings"),
    "/v1/messages": ("anthropic", "messages"),
}
GEMINI = "/v1beta/models"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        account: Named in the path; None where the key tells.
        dialect: Whose API it is; None of the list of models, which two share.
        action: What of the API is called; empty for what there is not.
        model: Named in the path; else empty.
    """

    account: str | None
    dialect: Dialect | None
    action: str
    model: str = ""


def route(method: str, path: str) -> Route:
    """The route of a request.

    Args:
        method: Of HTTP.
        path: As it came, quoted, without the query: `/v1/…`, or `/a/<account>/v1/…`.
    """
    account = None
    if path.startswith("/a/"):
        name, _, rest = path[3:].partition("/")
        account, path = unquote(name), "/" + rest
        if method == "GET" and path == "/metrics":
            return Route(account, None, "metrics")
    if method == "POST" and path in POSTS:
        return Route(account, *POSTS[path])
    if path.startswith(GEMINI):
        name, _, action = unquote(path[len(GEMINI) :].strip("/")).rpartition(":")
        if method == "GET":
            return Route(account, "gemini", "models", name or action)
        return Route(account, "gemini", action, name)
    if method == "GET" and path.startswith("/v1/models"):
        return Route(account, None, "models", unquote(path[len("/v1/models") :].strip("/")))
    return Route(account, None, "")
