"""API keys: who may use the gateway, and for what."""

import hashlib
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any, Literal, get_args

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from blocks.errors import BadInput, Conflict, NotAllowed, NotFound, StoreFailed
from blocks.faults import faults_of
from blocks.model import Frozen
from blocks.store.files import Files

Scope = Literal["submit", "read", "admin", "approve", "chat", "alert"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

KEYS_FILE = "gateway/keys.json"
PREFIX = "c500"
"""Begins every secret, so that scanners of source code and logs can recognise one."""
SHAPE = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_[A-Za-z0-9_-]{{43}}")
STATIC = "static"
"""The key id of `SECRET_API_KEY`."""
MIN_SECRET_CHARS = 32
SECRET_BYTES = 32
REREAD_S = 1.0
SWAP_TRIES = 200


class HashedSecret(Frozen):
    """What is kept of a secret.

    SHA-256 with a salt, not a slow password hash: slowness protects secrets a person could guess, and these are 256
    random bits. NIST SP 800-63B, 5.1.2.2, asks a key derivation function only below 112 bits of entropy. A slow hash
    would cost every request its milliseconds and give everyone a lever to keep the gateway busy.

    Attributes:
        salt, hash: Hexadecimal.
        expires_at: When a rotated secret stops; None while it is the present one.
    """

    salt: str
    hash: str
    expires_at: datetime | None = None

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    def fits(self, secret: str) -> bool:
        """Whether this is the secret's hash; the time taken does not tell how much of it fits."""
        return compare_digest(_hash(bytes.fromhex(self.salt), secret), self.hash)


class ApiKey(Frozen):
    """One client of the gateway; its id owns the jobs it submits, whatever its secret is at the time.

    Attributes:
        key_id: Names the key everywhere; no secret.
        name: Whose it is, for people.
        scopes: What it may do; `admin` includes submit and read, nothing includes approve, chat and alert.
        requests_per_min: Most requests a minute, None for no limit.
        bytes_per_day: Most bytes uploaded in a day (UTC), None for no limit.
        usd_per_day: Most dollars its chat completions may cost in a day (UTC), None for no limit.
        tokens_per_day: Most tokens of its chat completions in a day (UTC), sent and answered, None for no limit.
        created_at: When it was made.
        revoked_at: When it was withdrawn, None while it is valid.
        secrets: The present secret last; before it those that a rotation left valid for a while.
    """

    key_id: str
    name: str = Field(max_length=200)
    scopes: tuple[Scope, ...]
    requests_per_min: int | None = Field(default=None, ge=1)
    bytes_per_day: int | None = Field(default=None, ge=0)
    usd_per_day: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tokens_per_day: int | None = Field(default=None, ge=1)
    created_at: datetime
    revoked_at: datetime | None = None
    secrets: tuple[HashedSecret, ...] = Field(default=(), repr=False)

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope."""
        return scope in self.scopes or (scope in ("submit", "read") and "admin" in self.scopes)


LIMITS = ("requests_per_min", "bytes_per_day", "usd_per_day", "tokens_per_day")
"""Fields of a key that limit it."""

HEADERS = "as `Authorization: Bearer KEY`, or in the header X-API-Key"
"""How a key is sent."""


class KeyFile(Frozen):
    """All keys, as they lie in the store."""

    keys: tuple[ApiKey, ...] = ()


NOBODY = HashedSecret(salt="00" * 16, hash="00" * 32)
"""What an unknown key is compared with, so that it costs what a known one does."""


class KeyRing:
    """The keys in a store, and the static one of the settings.

    Changes are compare-and-swap, so several processes may make them at once. `check` sees what `refresh` read last.

    Args:
        files: The store.
        static: `SECRET_API_KEY`, a key with all scopes and no limits.

    Raises:
        BadInput: the static key is too short.
    """

    def __init__(self, files: Files, static: SecretStr | None = None) -> None:
        self._files = files
        self._static = _static_key(static) if static else None
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -REREAD_S
        self._reading = threading.Lock()

    @property
    def stale(self) -> bool:
        """Whether it is time for `refresh`."""
        return time.monotonic() - self._read_at >= REREAD_S

    def refresh(self) -> None:
        """Read the store unless that was done within the last `REREAD_S`. Raises `StoreFailed`."""
        with self._reading:
            if self.stale:
                self._keys = {key.key_id: key for key in self._read()[0].keys}
                self._read_at = time.monotonic()  # now: else a store that takes longer than a copy lasts is read always

    def check(self, secret: str) -> ApiKey:
        """The key that a secret belongs to, as of the latest `refresh`.

        Raises:
            NotAllowed: there is none, or it was revoked or has expired.
        """
        shape = SHAPE.fullmatch(secret)
        key = self._keys.get(shape.group(1)) if shape else self._static
        fitting = [one for one in (key.secrets if key else (NOBODY,)) if one.fits(secret)]
        if not key or not fitting:
            raise _refused("the API key is not known")
        if key.revoked_at:
            raise _refused("the API key was revoked")
        if all(one.expired for one in fitting):
            raise _refused("the API key was replaced by a newer one")
        return key

    def list(self) -> tuple[ApiKey, ...]:
        """All keys of the store, also revoked ones, oldest first."""
        return self._read()[0].keys

    def known(self) -> tuple[ApiKey, ...]:
        """All keys as of the latest `refresh`, also revoked ones, and the static one."""
        return (*self._keys.values(), *([self._static] if self._static else []))

    def usable(self) -> bool:
        """Whether there is any key a client could come with."""
        return self._static is not None or any(not key.revoked_at for key in self.list())

    def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        requests_per_min: int | None = None,
        bytes_per_day: int | None = None,
        usd_per_day: float | None = None,
        tokens_per_day: int | None = None,
    ) -> tuple[str, ApiKey]:
        """Make a key.

        Returns:
            Its secret, which is kept nowhere, and the key.

        Raises:
            BadInput: a limit has no such value.
        """
        key_id = secrets.token_hex(6)
        secret, hashed = _new_secret(key_id)
        key = _checked(
            key_id=key_id,
            name=name,
            scopes=tuple(scope for scope in SCOPES if scope in set(scopes)),
            requests_per_min=requests_per_min,
            bytes_per_day=bytes_per_day,
            usd_per_day=usd_per_day,
            tokens_per_day=tokens_per_day,
            created_at=datetime.now(UTC),
            secrets=(hashed,),
        )
        self._swap(lambda keys: keys | {key_id: key})
        return secret, key

    def limit(self, key_id: str, limits: Mapping[str, float | None]) -> ApiKey:
        """Change limits of a key; those that are not named stay.

        Args:
            key_id: Which.
            limits: By the name of their field of `ApiKey`; None for no limit.

        Raises:
            NotFound: no such key.
            Conflict: it was revoked.
            BadInput: a limit has no such value.
        """
        return self._change(key_id, lambda key: _limited(key, limits))

    def revoke(self, key_id: str) -> ApiKey:
        """Withdraw a key with all its secrets; again is no error. Raises `NotFound`."""
        return self._change(
            key_id, lambda key: key if key.revoked_at else key.model_copy(update={"revoked_at": datetime.now(UTC)})
        )

    def rotate(self, key_id: str, *, grace_s: float) -> tuple[str, ApiKey]:
        """Give a key a new secret; the ones before stay valid for `grace_s` seconds more at most.

        Raises:
            NotFound: no such key.
            Conflict: it was revoked.
        """
        secret, hashed = _new_secret(key_id)
        return secret, self._change(key_id, lambda key: _rotated(key, hashed, timedelta(seconds=grace_s)))

    def _change(self, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
        def apply(keys: dict[str, ApiKey]) -> dict[str, ApiKey]:
            if key_id not in keys:
                raise NotFound(f"there is no API key {key_id}", fix="list them with `c500 keys list`", key_id=key_id)
            return keys | {key_id: change(keys[key_id])}

        return self._swap(apply)[key_id]

    def _swap(self, change: Callable[[dict[str, ApiKey]], dict[str, ApiKey]]) -> dict[str, ApiKey]:
        for _ in range(SWAP_TRIES):
            current, version = self._read()
            keys = change({key.key_id: key for key in current.keys})
            content = KeyFile(keys=tuple(keys.values())).model_dump_json(indent=1).encode()
            try:
                with _for_this_user_only():
                    self._files.put_if(KEYS_FILE, content, version)
            except Conflict:
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads writers out, no secret
                continue
            return keys
        raise Conflict("the API keys are changed by others all the time", fix="try again")

    def _read(self) -> tuple[KeyFile, str | None]:
        try:
            found = self._files.read_version(KEYS_FILE)
            return (KeyFile.model_validate_json(found[0]), found[1]) if found else (KeyFile(), None)
        except OSError as error:
            raise StoreFailed(
                f"cannot read the API keys in {KEYS_FILE}: {error.strerror}",
                fix="run `c500 keys` and the gateway as the same user",
            ) from error
        except ValidationError as error:
            raise StoreFailed(
                f"{KEYS_FILE} in the store is damaged: {error.error_count()} faults",
                fix="bring it back from a backup, or remove it and create the keys again",
            ) from None


def _new_secret(key_id: str) -> tuple[str, HashedSecret]:
    secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return secret, _hashed(secret)


def _hashed(secret: str) -> HashedSecret:
    salt = secrets.token_bytes(16)
    return HashedSecret(salt=salt.hex(), hash=_hash(salt, secret))


def _hash(salt: bytes, secret: str) -> str:
    return hashlib.sha256(salt + secret.encode()).hexdigest()


def _rotated(key: ApiKey, hashed: HashedSecret, grace: timedelta) -> ApiKey:
    if key.revoked_at:
        raise Conflict(f"API key {key.key_id} was revoked", fix="create a new one with `c500 keys create`")
    end = datetime.now(UTC) + grace
    older = tuple(
        one.model_copy(update={"expires_at": min(end, one.expires_at or end)}) for one in key.secrets if not one.expired
    )
    return key.model_copy(update={"secrets": (*older, hashed)})


def _limited(key: ApiKey, limits: Mapping[str, float | None]) -> ApiKey:
    if key.revoked_at:
        raise Conflict(f"API key {key.key_id} was revoked", fix="create a new one with `c500 keys create`")
    if unknown := limits.keys() - LIMITS:
        raise BadInput(f"keys have no limit {min(unknown)}", fix=f"use {', '.join(LIMITS)}", field=min(unknown))
    return _checked(**{**dict(key), **limits})


def _checked(**fields: Any) -> ApiKey:
    """A key of these fields. Raises `BadInput`."""
    try:
        return ApiKey(**fields)
    except ValidationError as error:
        [fault, *_] = faults_of(error, TypeAdapter(ApiKey))
        raise BadInput(f"{fault.where}: {fault.what}", fix="give another value", field=fault.where) from None


def _refused(message: str) -> NotAllowed:
    return NotAllowed(message, fix=f"send a valid key {HEADERS}; `c500 keys create` makes one")


def _static_key(static: SecretStr) -> ApiKey:
    secret = static.get_secret_value()
    if len(secret) < MIN_SECRET_CHARS or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadInput(
            f"SECRET_API_KEY must be at least {MIN_SECRET_CHARS} printable ASCII characters without spaces",
            fix="set it to the output of `openssl rand -hex 32`, or leave it out and use `c500 keys create`",
        )
    if SHAPE.fullmatch(secret):
        raise BadInput(
            "SECRET_API_KEY looks like a key that `c500 keys` made, which could then not be revoked",
            fix="set it to the output of `openssl rand -hex 32`",
        )
    return ApiKey(
        key_id=STATIC, name="SECRET_API_KEY", scopes=SCOPES, created_at=datetime.now(UTC), secrets=(_hashed(secret),)
    )


@contextmanager
def _for_this_user_only() -> Generator[None]:
    """Files made within get mode 0600. The umask belongs to the whole process; only commands change keys."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
