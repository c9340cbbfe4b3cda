"""What is declared: files, packages, units and users of hosts, objects of Kubernetes, resources of Terraform."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from blocks.errors import BadInput, NotFound
from blocks.faults import Fault, faulty
from blocks.hosts.inventory import LOCAL, HostName
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from blocks.yaml_file import read_yaml
from tasks.ops.deed import Consent

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _one_way(path: str) -> str:
    """A path as it is written in one way only: else a file that is declared in `/etc/x` is not known in `/etc/x/`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("no .. may be in it")
    return "/" + "/".join(parts)


AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00\n]*$"), AfterValidator(_one_way)]
Pattern = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00\n]+$")]
Account = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$")]
Object = dict[str, Any]
FIX = "correct the declared state; docs/operations/drift.md shows its form"


class DeclaredFile(Frozen):
    """A file or folder.

    Attributes:
        path: Where.
        state: Whether it is there.
        kind: What it is; no link is followed.
        content: All that is in it.
        content_from: A file with that; relative to the declared state.
        sha256: Of what is in it, where only that is known.
        mode: Rights, octal, as `"0644"`.
        owner, group: Whose it is.
        secret: Whether nothing of it is shown.
        correct: Whether it is safe to put it right.
    """

    path: AbsolutePath
    state: Literal["present", "absent"] = "present"
    kind: Literal["file", "folder"] = "file"
    content: str | None = None
    content_from: Path | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    mode: str | None = Field(default=None, pattern=r"^[0-7]{3,4}$")
    owner: Account | None = None
    group: Account | None = None
    secret: bool = False
    correct: bool = False

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        told = [name for name in ("content", "content_from", "sha256") if getattr(self, name) is not None]
        if len(told) > 1:
            raise faulty([Fault((told[1],), f"give either this or {told[0]}")])
        if told and (self.kind == "folder" or self.state == "absent"):
            raise faulty([Fault((told[0],), "it has no content")])
        if self.correct and self.kind == "folder" and self.state == "absent":
            raise faulty([Fault(("correct",), "folders are not taken away: too much may be in one")])
        return self


class OnlyDeclared(Frozen):
    """A folder in which nothing lies but what is declared.

    Attributes:
        path: Where.
        ignore: Patterns of names that may lie there, too.
        correct: Whether files that should not be there are put away, where they can be had back.
    """

    path: AbsolutePath
    ignore: tuple[Pattern, ...] = ()
    correct: bool = False


class DeclaredPackage(Frozen):
    """A Debian package.

    Attributes:
        name: Its name; of an absent one also a pattern.
        version: A pattern, as `1.22.*`; None: any.
        state: Whether it is installed.
        correct: Whether it is safe to put it right.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?][a-z0-9+.*?-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.+:~*?-]+$")] | None = None
    state: Literal["present", "absent"] = "present"
    correct: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether the name may be that of several."""
        return bool({"*", "?"} & {*self.name})

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.is_pattern and self.state == "present":
            raise faulty([Fault(("name",), "only absent packages have patterns as names")])
        if self.is_pattern and self.correct:
            raise faulty([Fault(("correct",), "only what is named in full is taken away")])
        return self


class DeclaredUnit(Frozen):
    """A unit of systemd.

    Attributes:
        name: With its ending, as `nginx.service`.
        enabled: Whether it starts with the host; None: whatever.
        active: Whether it runs; None: whatever.
        correct: Whether it is safe to put it right.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.@][A-Za-z0-9:_.@\\-]*\.[a-z]+$")]
    enabled: bool | None = None
    active: bool | None = None
    correct: bool = False


class DeclaredUser(Frozen):
    """An account; it is only looked at.

    Attributes:
        name: Its name.
        state: Whether it is there.
        uid, home, shell: As they should be; None: whatever.
        groups: Those that it is in, all of them; None: whatever.
    """

    name: Account
    state: Literal["present", "absent"] = "present"
    uid: int | None = Field(default=None, ge=0)
    home: str | None = None
    shell: str | None = None
    groups: tuple[Account, ...] | None = None


class Target(Frozen):
    """What is declared of some hosts.

    Attributes:
        name: Names it.
        hosts: Names and groups of the inventory.
        become: Whether it is looked at, and put right, as root.
        consent: Who must agree to corrections, beyond what the policy wants.
        files, only_declared, packages, units, users: The state.
        only_users: Whether there are no people's accounts (uid 1000 and above) but those declared.
        apt_config: A file that APT_CONFIG names, for another root or other sources.
        dpkg_admindir: Where dpkg keeps its state, where it is not where it usually is.
    """

    name: Name
    hosts: tuple[HostName, ...] = Field(default=("all",), min_length=1)
    become: bool = False
    consent: Consent = "rules"
    files: tuple[DeclaredFile, ...] = ()
    only_declared: tuple[OnlyDeclared, ...] = ()
    packages: tuple[DeclaredPackage, ...] = ()
    units: tuple[DeclaredUnit, ...] = ()
    users: tuple[DeclaredUser, ...] = ()
    only_users: bool = False
    apt_config: AbsolutePath | None = None
    dpkg_admindir: AbsolutePath | None = None


class Cluster(Frozen):
    """What is declared of a Kubernetes cluster, looked at by `kubectl get`.

    Attributes:
        name: Names it.
        host: Host of the inventory on which kubectl runs.
        kubectl: The program.
        kubeconfig, context: Which cluster; None: as kubectl has it.
        namespace: Of objects that name none.
        manifests: Files with what is declared, YAML; relative to the declared state.
        only: Kinds of which there is nothing in the namespace but what is declared, as `deployments`.
        ignore: Patterns of names that may be there, too.
        correct: Whether it is safe to apply what is declared.
        consent: Who must agree to that.
    """

    name: Name
    host: HostName = LOCAL
    kubectl: Pattern = "kubectl"
    kubeconfig: AbsolutePath | None = None
    context: Annotated[str, StringConstraints(pattern=r"^[^\s-]\S*$")] | None = None
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")] = "default"
    manifests: tuple[Path, ...] = Field(min_length=1)
    only: tuple[Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9.]*$")], ...] = ()
    ignore: tuple[Pattern, ...] = ("kube-root-ca.crt", "default", "kubernetes")
    correct: bool = False
    consent: Consent = "rules"


class TerraformFolder(Frozen):
    """A folder of Terraform, looked at by `terraform plan`; corrections are for people there.

    Attributes:
        name: Names it.
        host: Host of the inventory on which terraform runs.
        terraform: The program.
        folder: Where the configuration is; `terraform init` was run there.
        workspace: None: the one chosen there.
        var_files: Files with variables.
        env: Variables of the environment, by where their values are.
        timeout_s: Seconds that a plan may take.
    """

    name: Name
    host: HostName = LOCAL
    terraform: Pattern = "terraform"
    folder: AbsolutePath
    workspace: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")] | None = None
    var_files: tuple[AbsolutePath, ...] = ()
    env: dict[str, SecretReference] = Field(default_factory=dict[str, SecretReference])
    timeout_s: float = Field(default=600, gt=0, le=7200)


class Declared(Frozen):
    """The file.

    Attributes:
        keep: Folder on the hosts where what was there before a correction is kept, for its owner only.
        parallel: How many hosts are looked at at once.
        targets: Of hosts.
        kubernetes: Of clusters.
        terraform: Of folders of Terraform.
        folder: Of the file.
        objects: By cluster, what its manifests declare.
    """

    keep: AbsolutePath = "/var/lib/c500/drift"
    parallel: int = Field(default=4, ge=1, le=100)
    targets: tuple[Target, ...] = ()
    kubernetes: tuple[Cluster, ...] = ()
    terraform: tuple[TerraformFolder, ...] = ()
    folder: Path = Field(default=Path(), exclude=True)
    objects: dict[str, tuple[Object, ...]] = Field(default_factory=dict[str, tuple[Object, ...]], exclude=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(one.name for one in (*self.targets, *self.kubernetes, *self.terraform))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if faults := list(self._faults()):
            raise faulty(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if not self.names:
            yield Fault(("targets",), "nothing is declared")
        seen: dict[str, tuple[Any, ...]] = {}
        for part in ("targets", "kubernetes", "terraform"):
            for number, one in enumerate(getattr(self, part)):
                place = (part, number, "name")
                if one.name in seen:
                    yield Fault(place, f"{one.name} is the name of another", seen[one.name])
                seen.setdefault(one.name, place)
        for number, target in enumerate(self.targets):
            paths = [one.path for one in target.files]
            for item, one in enumerate(target.files):
                if one.path in paths[:item]:
                    yield Fault(("targets", number, "files", item, "path"), "it is declared twice")
                if one.correct and one.kind == "file" and one.sha256 is not None:
                    place = ("targets", number, "files", item, "correct")
                    yield Fault(place, "a hash is no content that could be put in place; give content or content_from")


FORM = TypeAdapter(Declared)


def read_declared(path: Path) -> Declared:
    """A declared state, with the files that it names read.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    path = path.expanduser().absolute()
    declared = read_yaml(path, fix=FIX, field="declared").read_as(FORM)
    folder = path.parent
    targets = tuple(
        target.model_copy(update={"files": tuple(_with_content(one, folder) for one in target.files)})
        for target in declared.targets
    )
    objects = {
        cluster.name: tuple(one for file in cluster.manifests for one in _objects(folder / file))
        for cluster in declared.kubernetes
    }
    return declared.model_copy(update={"targets": targets, "objects": objects, "folder": folder})


def _with_content(file: DeclaredFile, folder: Path) -> DeclaredFile:
    if file.content_from is None:
        return file
    content = _read(folder / file.content_from.expanduser(), "content_from")
    return file.model_copy(update={"content": content, "content_from": None})


def _objects(path: Path) -> Iterator[Object]:
    try:
        documents: list[Any] = list(yaml.safe_load_all(_read(path.expanduser(), "manifests")))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        # Without the error, which quotes the file: it may hold secrets.
        raise BadInput(f"{path} is no YAML", fix="correct the manifest", field="manifests") from None
    for document in documents:
        if document is None:
            continue
        try:
            kind, name = document["kind"], document["metadata"]["name"]
            if not all(isinstance(one, str) and one and one[0] != "-" for one in (kind, name, document["apiVersion"])):
                raise TypeError
            # As the cluster reads it: names are texts in JSON, also those that YAML takes for numbers.
            document = json.loads(json.dumps(document, default=str))
        except (KeyError, TypeError, ValueError):
            told = f"{path} has an object without apiVersion, kind or metadata.name"
            raise BadInput(told, fix="correct the manifest", field="manifests") from None
        yield cast(Object, document)


def _read(path: Path, field: str) -> str:
    try:
        return path.read_bytes().decode()  # as it is: `read_text` would make line feeds of all line ends
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field=field) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as text", fix="correct the file", field=field) from error
