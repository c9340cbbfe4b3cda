"""Pages that a browser opens by its address bar, where no header can hold a key: a signed cookie stands for it.

The cookie holds the key's id and when it ends, signed with what the gateway has kept of the key's secret. So no list
of sessions is kept, every gateway of the store knows it, and with the key it is revoked, rotated or changed.
"""

import hmac
import time
from collections.abc import Iterable
from hashlib import sha256

from pydantic import SecretStr

from blocks.keys import STATIC, ApiKey, Scope

LASTS_S = 8 * 3600
"""A working day."""

LONGEST = 200


def issue(key: ApiKey, static: SecretStr | None, now: float | None = None) -> str:
    """The cookie of a key that was just checked.

    Args:
        key: The key.
        static: SECRET_API_KEY.
        now: Seconds since 1970.
    """
    ends = int((time.time() if now is None else now) + LASTS_S)
    return f"{key.key_id}.{ends}.{_signed(_secret_of(key, static), key.key_id, ends)}"


def may_read(
    cookie: str, keys: Iterable[ApiKey], static: SecretStr | None, scope: Scope, now: float | None = None
) -> ApiKey | None:
    """The key that a cookie stands for; None where it is none, has ended, or the key may not.

    Args:
        cookie: As it came.
        keys: All that there are, the static one too.
        static: SECRET_API_KEY.
        scope: What the key must have.
        now: Seconds since 1970.
    """
    key_id, _, rest = cookie[:LONGEST].partition(".")
    ends, _, signature = rest.partition(".")
    if not (ends.isascii() and ends.isdigit()) or int(ends) <= (time.time() if now is None else now):
        return None
    key = next((one for one in keys if one.key_id == key_id and one.revoked_at is None), None)
    if key is None or not (secret := _secret_of(key, static)):
        return None
    if not hmac.compare_digest(signature.encode(), _signed(secret, key_id, int(ends)).encode()):
        return None
    return key if key.may(scope) else None


def _secret_of(key: ApiKey, static: SecretStr | None) -> bytes:
    """What only the gateway knows of the key: the salted hash of its present secret; of the static key its secret."""
    if key.key_id == STATIC:
        return static.get_secret_value().encode() if static else b""
    return bytes.fromhex(key.secrets[-1].hash)


def _signed(secret: bytes, key_id: str, ends: int) -> str:
    return hmac.new(secret, f"c500-browser-session/{key_id}/{ends}".encode(), sha256).hexdigest()
