"""The inventory: which hosts there are, how they are reached, and in which groups they are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from blocks.settings import settings
from blocks.yaml_file import read_yaml

HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
LOCAL = "local"
"""This machine, whatever the inventory calls it: the default of plans, runbooks and services."""
FIX = "correct the inventory; docs/operations/maintenance.md shows its form"
ABSENT = "correct INVENTORY_FILE, or leave it unset: then this machine is the only host"


class Machine(Frozen):
    """A host of the inventory.

    Attributes:
        name: Names it.
        address: Name or IP address; empty: this machine.
        port: Of its sshd.
        user: As whom we log in.
        key: File of the private key; relative to the inventory.
        password: Where the password is, if there is no key.
        known_hosts: File with the host's public key, relative to the inventory; without it no host is trusted.
        groups: What it belongs to.
        labels: What plans may want to know of it.
        folder: Of the inventory.
    """

    name: HostName
    address: str = Field(default="", pattern=r"^[A-Za-z0-9_.:-]*$")
    port: int = Field(default=22, ge=1, le=65_535)
    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_.-]*$")
    key: Path | None = None
    password: SecretReference = "none"  # noqa: S105 - a reference: there is none
    known_hosts: Path | None = None
    groups: tuple[HostName, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return not self.address

    def placed(self, path: Path) -> Path:
        """A path of the inventory."""
        return (self.folder / path.expanduser()).absolute()

    @model_validator(mode="after")
    def _means_this_machine(self) -> Self:
        if (self.name == LOCAL and self.address) or LOCAL in self.groups:
            raise ValueError(f"{LOCAL} always means this machine; give this host, or this group, another name")
        return self

    @model_validator(mode="after")
    def _can_be_trusted(self) -> Self:
        if self.address and self.known_hosts is None:
            raise ValueError("known_hosts is missing: a file with the host's public key (ssh-keyscan HOST > FILE)")
        return self


class _Listed(Frozen):
    """A host as the file tells it: its name is the key."""

    address: str = ""
    port: int = 22
    user: str = "root"
    key: Path | None = None
    password: SecretReference = "none"  # noqa: S105
    known_hosts: Path | None = None
    groups: tuple[HostName, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict[str, str])


class _File(Frozen):
    known_hosts: Path | None = None
    hosts: dict[HostName, _Listed]


FORM = TypeAdapter(_File)


class Inventory:
    """The hosts there are.

    Args:
        machines: All of them.

    Attributes:
        machines: By name, as the inventory tells them.
        named: Whatever a plan may name: all of these, and `local`, which is this machine by whatever name it is listed.
    """

    def __init__(self, machines: Iterable[Machine]) -> None:
        self.machines = {one.name: one for one in machines}
        here = next((one for one in self.machines.values() if one.is_local), Machine(name=LOCAL))
        self.named = {LOCAL: here} | self.machines

    def chosen(self, names: Iterable[str]) -> tuple[Machine, ...]:
        """The hosts of these names and groups, each once, in the inventory's order; `all` is every host that it lists.

        Raises:
            NotFound: there is no such host or group.
        """
        wanted = [*names]
        known = {"all", *self.named, *(group for one in self.machines.values() for group in one.groups)}
        if unknown := [name for name in wanted if name not in known]:
            raise NotFound(
                f"there is no host or group {', '.join(unknown)}",
                fix=f"use one of {', '.join(sorted(known))}",
                field="hosts",
            )
        chosen = {name: one for name, one in self.machines.items() if {"all", name, *one.groups} & {*wanted}}
        if LOCAL in wanted:
            here = self.named[LOCAL]
            chosen.setdefault(here.name, here)
        return tuple(chosen.values())


ONLY_HERE = Inventory([Machine(name=LOCAL)])


def read_inventory(path: Path | None = None) -> Inventory:
    """The hosts there are.

    Args:
        path: The file; None: that of INVENTORY_FILE. Where nobody has set that, and no file is in its usual place, this
            machine is the only host. `local` is this machine in every inventory.

    Raises:
        NotFound: there is no such file: one that is mistyped must not turn all hosts into this machine.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    chosen = settings()
    told = (path or chosen.inventory_file).expanduser()
    is_asked_for = path is not None or "inventory_file" in chosen.model_fields_set
    try:
        read = read_yaml(told, fix=FIX, field="inventory", absent=ABSENT if path is None else "check the path")
    except NotFound:
        if is_asked_for or told.is_symlink():
            raise
        return ONLY_HERE
    content = read.read_as(FORM)
    machines: list[Machine] = []
    for name, listed in content.hosts.items():
        facts = {"name": name, "folder": told.absolute().parent, "known_hosts": content.known_hosts}
        given = {field: getattr(listed, field) for field in listed.model_fields_set}
        machines.append(read.part_as(TypeAdapter(Machine), facts | given, ("hosts", name)))
    return Inventory(machines)
