"""Files of encrypted secrets: JSON of names and Fernet tokens, opened with the key in C500_SEAL_KEY."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.errors import BadInput, NotAllowed, NotFound
from blocks.whole_file import write_whole

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY = "C500_SEAL_KEY"


def new_seal_key() -> str:
    """A key for sealed files: keep it apart from them."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def seal(path: Path, name: str, secret: str) -> None:
    """Add a secret to a sealed file, or replace it; the file is made where it is missing, for its owner alone."""
    tokens = _tokens(path) if path.exists() else {}
    tokens[name] = _fernet().encrypt(secret.encode()).decode()
    write_whole(path, json.dumps(tokens, indent=1).encode())


def unseal(path: Path) -> dict[str, str]:
    """The secrets of a sealed file by name.

    Raises:
        NotFound: there is no such file, or no C500_SEAL_KEY.
        NotAllowed: the key does not open it.
    """
    from cryptography.fernet import InvalidToken

    fernet = _fernet()
    try:
        return {name: fernet.decrypt(token).decode() for name, token in _tokens(path).items()}
    except InvalidToken as error:
        raise NotAllowed(f"{KEY} does not open {path}", fix=f"set {KEY} to the key it was sealed with") from error


def _tokens(path: Path) -> dict[str, str]:
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix=f"make it: c500 accounts seal {path} NAME") from error
    except ValueError as error:
        raise BadInput(f"{path} is no sealed file", fix=f"make it: c500 accounts seal {path} NAME") from error
    return {str(name): str(token) for name, token in tokens.items()}


def _fernet() -> "Fernet":
    from cryptography.fernet import Fernet

    key = os.environ.get(KEY)
    if not key:
        raise NotFound(f"{KEY} is not set", fix=f"set {KEY}; c500 accounts new-key makes one")
    try:
        return Fernet(key)
    except ValueError as error:
        raise BadInput(f"{KEY} is no key", fix="c500 accounts new-key makes one", field=KEY) from error
