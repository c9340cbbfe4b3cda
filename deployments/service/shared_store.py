"""Is the store of this machine the store of the service?

A worker that joins with another folder or bucket would do its jobs where nobody looks for the results. So the
service leaves a mark in its store, and tells the Prefect server which.
"""

from secrets import token_hex

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from pydantic import ValidationError

from blocks.errors import Conflict, NotFound
from blocks.model import Frozen
from blocks.store import Files, open_store

MARK_KEY = "service/store.json"
VARIABLE = "c500_store"


class StoreMark(Frozen):
    """Identity of a store, and where the service sees it."""

    mark: str
    uri: str


async def mark_store(client: PrefectClient, *, new_store: bool = False) -> None:
    """Mark the store of this machine, and make it the one of the service.

    Raises:
        Conflict: the service has another one, and `new_store` does not say that it is to be this one from now on.
    """
    files = open_store()
    known = await client.read_variable_by_name(VARIABLE)
    if known is not None and not new_store:
        _check_mark(files, StoreMark.model_validate(known.value))
    value = (_read_mark(files) or _write_mark(files)).model_copy(update={"uri": _root(files)}).model_dump()
    if known is None:
        await client.create_variable(VariableCreate(name=VARIABLE, value=value))
    elif known.value != value:
        await client.update_variable(VariableUpdate(name=VARIABLE, value=value))


async def check_shared(client: PrefectClient) -> str:
    """Address of the store, when it is the one of the service.

    Raises:
        NotFound: the service has not marked a store.
        Conflict: this machine has another store.
    """
    variable = await client.read_variable_by_name(VARIABLE)
    if variable is None:
        raise NotFound(
            "the Prefect server does not know the service's store",
            fix="run `c500 up` on the first machine, or `python -m deployments.service.definitions`",
        )
    files = open_store()
    _check_mark(files, StoreMark.model_validate(variable.value))
    return _root(files)


def _check_mark(files: Files, expected: StoreMark) -> None:
    found = _read_mark(files)
    if found is None or found.mark != expected.mark:
        raise Conflict(
            f"the store here, {_root(files)}, is not the store of the service, which it sees as {expected.uri}",
            fix="mount that folder here and set AUDIO_DIR to it, or set the same STORE_URL on all machines; "
            "if the service is to move to this store, `python -m deployments.service.definitions --new-store`",
        )


def _root(files: Files) -> str:
    return files.uri(MARK_KEY).removesuffix(f"/{MARK_KEY}")


def _write_mark(files: Files) -> StoreMark:
    mark = StoreMark(mark=token_hex(16), uri=_root(files))
    unreadable = files.read_version(MARK_KEY)
    try:
        files.put_if(MARK_KEY, mark.model_dump_json().encode(), unreadable and unreadable[1])
    except Conflict:  # another machine marked it in this moment
        return _read_mark(files) or mark
    return mark


def _read_mark(files: Files) -> StoreMark | None:
    try:
        return StoreMark.model_validate_json(files.read_bytes(MARK_KEY))
    except (NotFound, ValidationError):
        return None
