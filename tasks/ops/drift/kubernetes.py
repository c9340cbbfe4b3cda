"""Objects of Kubernetes against manifests, by `kubectl get -o json`."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, cast

from blocks.action import Touched
from blocks.errors import EngineFailed
from tasks.ops.drift.change import Change, Command, On, Seen, Undo, changed_since
from tasks.ops.drift.declared import Cluster, Object
from tasks.ops.drift.found import Difference, Found, difference, not_known, state_of

NOT_DECLARED = {"status"}
GIVEN = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
"""What the cluster itself writes into `metadata`."""

QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>m|k|[MGTPE]i?|Ki)?")
UNITS = {
    **{"m": Decimal("0.001"), "": Decimal(1), "k": Decimal(1000)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("MGTPE", 2)},
}
QUANTITIES = {"limits", "requests", "capacity", "hard", "sizeLimit", "averageValue"}
"""Fields in which texts as `0.5` and `500m` say the same."""


def differences_in(declared: Object, actual: Object) -> list[Difference]:
    """Where an object is not as declared; what only the cluster says does not matter."""
    if declared["kind"] == "Secret":
        declared = _with_data(declared)
    is_secret = declared["kind"] == "Secret"
    told = {name: part for name, part in declared.items() if name not in NOT_DECLARED}
    found = [one for one in _differing(told, actual, ()) if one[0] != ("metadata", "namespace")]  # it was asked for
    return [_shown(one, there, place, is_secret=is_secret) for place, one, there in found]


async def get_object(on: On, cluster: Cluster, declared: Object) -> Object | None:
    """An object as it is; None: there is none. Raises `EngineFailed`, `EngineUnavailable`."""
    told = await on.look(
        *_kubectl(cluster), "get", _kind(declared), declared["metadata"]["name"],
        *_namespace(cluster, declared), "--ignore-not-found", "-o", "json",
    )  # fmt: skip
    if why := not_known(told):
        raise EngineFailed(why, fix="look whether kubectl reaches the cluster")
    if not told.stdout.strip():
        return None
    try:
        found = json.loads(told.stdout)
    except ValueError:
        raise EngineFailed("kubectl writes no JSON", fix="run it by hand on the host") from None
    if not isinstance(found, dict):
        raise EngineFailed("kubectl writes no object", fix="run it by hand on the host")
    return cast(Object, found)


@dataclass(frozen=True)
class Applied:
    """Puts an object right by `kubectl apply`.

    Attributes:
        cluster: Where.
        declared: The object.
        seen: As it was when it was looked at; None: there was none.
    """

    cluster: Cluster
    declared: Object
    seen: Object | None

    @property
    def says(self) -> str:
        """See `Change`."""
        return f"apply {named(self.cluster, self.declared)} in {self.cluster.name}"

    @property
    def tool(self) -> str:
        """See `Change`."""
        return "run_on_host"

    @property
    def arguments(self) -> dict[str, Any]:
        """See `Change`."""
        manifest = json.dumps(self.declared, sort_keys=True, default=str).encode()
        version = None if self.seen is None else self.seen.get("metadata", {}).get("resourceVersion")
        return {"argv": list(self._argv), "sha256": hashlib.sha256(manifest).hexdigest(), "before": version}

    @property
    def touched(self) -> Touched:
        """See `Change`."""
        return Touched(argv=self._argv)

    @property
    def _argv(self) -> tuple[str, ...]:
        return (*_kubectl(self.cluster), "apply", *_namespace(self.cluster, self.declared), "-f", "-")

    async def keep(self, on: On) -> Undo:
        """See `Change`."""
        metadata = self.declared["metadata"]
        if self.seen is None:
            gone = ("delete", _kind(self.declared), metadata["name"], *_namespace(self.cluster, self.declared))
            return Undo(commands=(Command(argv=(*_kubectl(self.cluster), *gone, "--ignore-not-found")),))
        kept = {name: part for name, part in self.seen.items() if name not in NOT_DECLARED}
        kept["metadata"] = {name: part for name, part in self.seen["metadata"].items() if name not in GIVEN}
        return Undo(commands=(Command(argv=(*_kubectl(self.cluster), "replace", "-f", "-"), stdin=json.dumps(kept)),))

    async def apply(self, on: On) -> None:
        """See `Change`."""
        now = await get_object(on, self.cluster, self.declared)
        if now is not None and not differences_in(self.declared, now):
            return
        versions = [None if one is None else one.get("metadata", {}).get("resourceVersion") for one in (now, self.seen)]
        if versions[0] != versions[1]:
            raise changed_since(named(self.cluster, self.declared))
        await on.run(Command(argv=self._argv, stdin=json.dumps(self.declared, default=str)))


def _kind(declared: Object) -> str:
    """The kind with its group: others have kinds of the same name, as the Service of Knative."""
    kind, group = declared["kind"], declared["apiVersion"].rpartition("/")[0]
    return f"{kind}.{group}" if group else kind


def named(cluster: Cluster, declared: Object) -> str:
    """An object for people: `Deployment shop/web`."""
    metadata = declared["metadata"]
    return f"{declared['kind']} {metadata.get('namespace', cluster.namespace)}/{metadata['name']}"


async def look_at_object(on: On, cluster: Cluster, declared: Object) -> Seen:
    """An object against its manifest."""
    facts: dict[str, Any] = {
        "target": cluster.name,
        "host": on.host.name,
        "kind": "object",
        "name": named(cluster, declared),
    }
    is_secret = declared["kind"] == "Secret"
    facts["safe"] = cluster.correct and not is_secret
    if cluster.correct and is_secret:
        facts["corrected_why"] = "what was in a secret before would have to be kept"
    try:
        actual = await get_object(on, cluster, declared)
    except EngineFailed as error:
        return Seen(Found(**facts, state="unknown", why=error.message))
    change: Change | None = None if is_secret else Applied(cluster, declared, actual)
    if actual is None:
        return Seen(Found(**facts, state="missing"), change)
    differences = tuple(differences_in(declared, actual))
    found = Found(**facts, state=state_of(differences), differences=differences)
    return Seen(found, change if differences else None)


async def look_for_other_objects(on: On, cluster: Cluster, kind: str, objects: Sequence[Object]) -> list[Seen]:
    """Objects of a kind that nobody declared, and that no other object made."""
    facts: dict[str, Any] = {"target": cluster.name, "host": on.host.name, "kind": "object"}
    columns = "custom-columns=KIND:.kind,NAME:.metadata.name,OWNER:.metadata.ownerReferences[*].name"
    done = await on.look(
        *_kubectl(cluster), "get", kind, f"--namespace={cluster.namespace}", "--no-headers", "-o", columns
    )
    if why := not_known(done):
        return [Seen(Found(**facts, name=kind, state="unknown", why=why))]
    known = {named(cluster, one) for one in objects}
    found: list[Seen] = []
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) != 3 or words[2] != "<none>" or any(fnmatchcase(words[1], one) for one in cluster.ignore):
            continue
        name = f"{words[0]} {cluster.namespace}/{words[1]}"
        if name not in known:
            found.append(Seen(Found(**facts, name=name, state="unexpected")))
    return found


Differing = tuple[tuple[str, ...], Any, Any]


def _differing(declared: Any, actual: Any, place: tuple[str, ...]) -> Iterator[Differing]:
    """Where what is declared is not so."""
    if isinstance(declared, dict) and isinstance(actual, dict):
        there = cast(dict[str, Any], actual)
        for name, part in cast(dict[str, Any], declared).items():
            yield from _differing(part, there.get(name), (*place, name))
    elif isinstance(declared, list) and isinstance(actual, list):
        yield from _differing_lists(cast(list[Any], declared), cast(list[Any], actual), place)
    elif not _is_same(declared, actual, place):
        yield place, declared, actual


def _differing_lists(declared: list[Any], actual: list[Any], place: tuple[str, ...]) -> Iterator[Differing]:
    by_name = {_name(one): one for one in actual}
    if declared and all(_name(one) is not None for one in declared) and len(by_name) == len(actual):
        for one in declared:
            yield from _differing(one, by_name.pop(_name(one), None), (*place, str(_name(one))))
        for name, other in by_name.items():
            yield (*place, str(name)), None, other
    elif len(declared) != len(actual):
        yield place, declared, actual
    else:
        for number, (one, there) in enumerate(zip(declared, actual, strict=True)):
            yield from _differing(one, there, (*place, str(number)))


def _is_same(declared: Any, actual: Any, place: tuple[str, ...]) -> bool:
    if declared == actual and isinstance(declared, bool) == isinstance(actual, bool):
        return True
    if declared in (None, {}, []) and actual in (None, {}, []):
        return True
    if {*place} & QUANTITIES or place[-1:] == ("storage",):
        return _quantity(declared) is not None and _quantity(declared) == _quantity(actual)
    return False


def _quantity(told: Any) -> Decimal | None:
    match = None if isinstance(told, bool) else QUANTITY.fullmatch(str(told))
    return Decimal(match["number"]) * UNITS[match["unit"] or ""] if match else None


def _name(item: Any) -> str | None:
    name = cast(dict[str, Any], item).get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None


def _with_data(declared: Object) -> Object:
    """A secret whose plain texts are encoded, as the cluster gives them."""
    from base64 import b64encode

    plain: dict[str, Any] = declared.get("stringData") or {}
    encoded = {name: b64encode(str(text).encode()).decode() for name, text in plain.items()}
    rest = {name: part for name, part in declared.items() if name != "stringData"}
    return rest | {"data": {**(declared.get("data") or {}), **encoded}}


def _shown(declared: Any, actual: Any, place: tuple[str, ...], *, is_secret: bool) -> Difference:
    field = ".".join(place)
    if is_secret and place[:1] == ("data",):
        told = ["not there" if one is None else "[REDACTED]" for one in (declared, actual)]
        return Difference(field=field, declared=told[0], actual=told[1])
    # What a variable holds is secret or not by the name of the variable, two steps above `value`.
    known_by = place[-2] if place[-1:] == ("value",) and len(place) > 1 else place[-1] if place else ""
    told = difference(known_by, _text(declared), _text(actual))
    return told.model_copy(update={"field": field})


def _text(value: Any) -> str:
    return "not there" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def _kubectl(cluster: Cluster) -> tuple[str, ...]:
    config = (f"--kubeconfig={cluster.kubeconfig}",) if cluster.kubeconfig else ()
    context = (f"--context={cluster.context}",) if cluster.context else ()
    return (cluster.kubectl, *config, *context, "--request-timeout=60s")


def _namespace(cluster: Cluster, declared: Object) -> tuple[str, ...]:
    """Objects of the whole cluster have none, and kubectl then takes no notice of it."""
    return (f"--namespace={declared['metadata'].get('namespace', cluster.namespace)}",)
