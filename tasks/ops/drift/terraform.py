"""Resources of Terraform against its configuration, by `terraform plan -detailed-exitcode` and `show -json`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from blocks.errors import EngineFailed
from blocks.hosts import CommandResult
from blocks.plain_text import cut
from blocks.redact import default_redactor
from blocks.secret_reference import secret_at
from tasks.ops.drift.change import On, Seen
from tasks.ops.drift.declared import TerraformFolder
from tasks.ops.drift.found import SHOWN_CHARS, Difference, Found, State, difference, not_known

NO_CHANGES, CHANGES = 0, 2
SENSITIVE = "[sensitive]"
NOT_MINDED = "changed outside of Terraform, whose configuration does not mind"
STATES: Mapping[tuple[str, ...], State] = {
    ("create",): "missing",
    ("delete",): "unexpected",
    ("update",): "drifted",
    ("delete", "create"): "drifted",
    ("create", "delete"): "drifted",
}


async def look_at_terraform(on: On, folder: TerraformFolder, place: Path) -> list[Seen]:
    """What Terraform would change, and what others changed.

    Args:
        on: Where it runs.
        folder: The configuration.
        place: Of the declared state, for secrets in files beside it.
    """
    facts: dict[str, Any] = {"target": folder.name, "host": on.host.name, "kind": "resource"}
    try:
        plan, is_to_change = await _plan(on, folder, place)
    except EngineFailed as error:
        return [Seen(Found(**facts, name=folder.folder, state="unknown", why=error.message))]
    found = [Seen(Found(**facts, **told)) for told in resources_in(plan)]
    if found:
        return found
    if is_to_change:
        why = "terraform would change something that is no resource's, as after `moved` and `removed`"
        return [Seen(Found(**facts, name=folder.folder, state="drifted", why=why))]
    return [Seen(Found(**facts, name=folder.folder, state="same"))]


def resources_in(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a plan says of resources that are not as declared: name, state, differences, why."""
    outside = {str(one.get("address")): _change(one) for one in _list(plan.get("resource_drift"))}
    told: set[str] = set()
    for one in _list(plan.get("resource_changes")):
        address, change = str(one.get("address")), _change(one)
        if (state := STATES.get(_actions(change))) is None:
            continue
        told.add(address)
        differences = tuple(_differences(change)) if state == "drifted" else ()
        why = "changed outside of Terraform" if address in outside else str(one.get("action_reason") or "")
        yield {"name": address, "state": state, "differences": differences, "why": why}
    for address, change in outside.items():
        if address not in told and _actions(change) != ("no-op",):
            yield {"name": address, "why": NOT_MINDED, **_outside(change)}
    for name, one in cast(dict[str, Any], plan.get("output_changes") or {}).items():
        if _actions(one) != ("no-op",):
            yield {"name": f"output.{name}", "state": "drifted", "why": "its value would change"}


def _outside(change: Mapping[str, Any]) -> dict[str, Any]:
    """What others did to a resource: of these `before` is what Terraform knew, `after` what is there."""
    if _actions(change) == ("delete",):
        return {"state": "missing"}
    return {"state": "drifted", "differences": tuple(_differences(change, declared="before", actual="after"))}


def _change(resource: Mapping[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], resource.get("change") or {})


def _actions(change: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(one) for one in cast(list[Any], change.get("actions") or []))


async def _plan(on: On, folder: TerraformFolder, place: Path) -> tuple[dict[str, Any], bool]:
    """The plan, and whether there is anything to change. Raises `EngineFailed`, `EngineUnavailable`."""
    env = {name: await secret_at(reference, place, "env") for name, reference in folder.env.items()}
    env |= {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_CLI_ARGS": ""}
    env |= {"TF_WORKSPACE": folder.workspace} if folder.workspace else {}
    # The plan holds secrets in plain text: it lies in a folder for its owner only, and goes at once.
    own = (await on.look("mktemp", "-d")).checked().stdout.strip()
    try:
        words = ["plan", "-detailed-exitcode", "-json", "-input=false", "-lock=false", f"-out={own}/plan"]
        words += [f"-var-file={one}" for one in folder.var_files]
        program = (folder.terraform, f"-chdir={folder.folder}")
        planned = await on.look(*program, *words, timeout_s=folder.timeout_s, env=env)
        if planned.exit_code not in (NO_CHANGES, CHANGES) or planned.timed_out:
            raise EngineFailed(_faults(planned), fix="run terraform plan by hand there")
        shown = await on.look(*program, "show", "-json", f"{own}/plan", timeout_s=folder.timeout_s, env=env)
        if why := not_known(shown):
            raise EngineFailed(why, fix="run terraform show -json by hand there")
        return _parsed(shown.stdout), planned.exit_code == CHANGES
    finally:
        await on.look("rm", "-rf", "--", own)


def _parsed(text: str) -> dict[str, Any]:
    try:
        plan = json.loads(text)
    except ValueError:
        plan = None
    if not isinstance(plan, dict):
        raise EngineFailed("terraform show writes no plan", fix="run it by hand on the host")
    return cast(dict[str, Any], plan)


def _faults(done: CommandResult) -> str:
    """What terraform complains of: lines of JSON, or plain ones where it did not get that far."""
    told: list[str] = []
    for line in done.stdout.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and cast(dict[str, Any], one).get("@level") == "error":
            told.append(str(cast(dict[str, Any], one).get("@message")))
    said = "; ".join(told) or not_known(done) or "it ended in an unknown way"
    return default_redactor().text(cut(f"terraform plan: {said}", SHOWN_CHARS * 2))


def _differences(change: Mapping[str, Any], declared: str = "after", actual: str = "before") -> Iterator[Difference]:
    # Unknown until applied: in `after_unknown`, and not in `after`.
    sides = {name: dict(_leaves(change.get(name), change.get(f"{name}_sensitive"))) for name in (declared, actual)}
    unknown = {place for place, value in _leaves(change.get("after_unknown"), None) if value == "true"}
    for place in sorted({*sides[declared], *sides[actual]}):
        told, there = (sides[name].get(place) for name in (declared, actual))
        hidden = SENSITIVE in (told and told.partition(" ")[0], there and there.partition(" ")[0])
        if told == there or (told is None and any(place == one or place.startswith(f"{one}.") for one in unknown)):
            continue
        if hidden:
            yield Difference(field=place, declared=SENSITIVE, actual=SENSITIVE)
        else:
            yield difference(place, "not there" if told is None else told, "not there" if there is None else there)


def _leaves(value: Any, sensitive: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Places and texts of all that is within a value; what is sensitive only tells whether it is the same."""
    if sensitive is True:
        yield place, f"{SENSITIVE} {json.dumps(value, sort_keys=True)}"
        return
    dot = f"{place}." if place else ""
    if isinstance(value, dict):
        marks: Mapping[str, Any] = cast(dict[str, Any], sensitive) if isinstance(sensitive, dict) else {}
        for name, part in cast(dict[str, Any], value).items():
            yield from _leaves(part, marks.get(name), f"{dot}{name}")
    elif isinstance(value, list):
        marked: Sequence[Any] = cast(list[Any], sensitive) if isinstance(sensitive, list) else ()
        for number, part in enumerate(cast(list[Any], value)):
            yield from _leaves(part, marked[number] if number < len(marked) else None, f"{dot}{number}")
    elif value is not None:
        yield place, value if isinstance(value, str) else json.dumps(value)


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in cast(list[Any], value or []) if isinstance(one, dict)]
