"""Opening the memory that the settings name."""

from blocks.accounts.embed import ServerEmbedder
from blocks.memory.memory import Memory
from blocks.settings import settings

FILE = "memory.db"


def open_memory() -> Memory:
    """The memory in AGENTS_HOME, with the embedding server of EMBEDDING_URL where one is named; close it when done."""
    from blocks.redact import default_redactor

    chosen = settings()
    embedder = None
    if chosen.embedding_url is not None:
        embedder = ServerEmbedder(str(chosen.embedding_url), chosen.embedding_model, chosen.embedding_api_key)
    redactor = default_redactor()
    return Memory(chosen.agents_home.expanduser() / "memory" / FILE, redactor, embedder)
