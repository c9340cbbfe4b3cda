"""Reading a policy: the shipped rules, and those of a file that come to them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from blocks.faults import Fault
from blocks.policy.rule import Default, PolicyFile, Profile, Rule
from blocks.policy.verdict import DEFAULT, VERDICTS
from blocks.yaml_file import YamlText, parse_yaml, read_yaml

SHIPPED = Path(__file__).with_name("default.yaml")
OPERATIONS = Path(__file__).with_name("operations.yaml")
FORM = TypeAdapter(PolicyFile)
ABSENT = "write one; docs/agents/policy.md shows how"

BUILT_IN = (DEFAULT, "unattended", "unknown-tool", "malformed", "private-address", "program-path", "reach")
"""What decides beside the rules; none of them can have such a name."""


@lru_cache(maxsize=1)
def shipped() -> PolicyFile:
    """The rules that come with C500."""
    return _checked(read_yaml(SHIPPED, fix="install C500 again"), PolicyFile())


@lru_cache(maxsize=1)
def shipped_for_operations() -> PolicyFile:
    """The rules of operations flows that come with C500."""
    return _checked(read_yaml(OPERATIONS, fix="install C500 again"), PolicyFile())


def read_rules(path: Path, base: PolicyFile | None = None) -> PolicyFile:
    """The shipped rules with those of a file.

    Args:
        path: The file.
        base: What it comes to; None for the rules of agents.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML or not of this form; `details["problems"]` has all faults, each with its line.
    """
    base = shipped() if base is None else base
    return _joined(base, _checked(read_yaml(path, fix=_fix(str(path)), field="policy", absent=ABSENT), base))


def parse_rules(text: str, name: str = "policy.yaml") -> PolicyFile:
    """The shipped rules with those of a file's text; see `read_rules`."""
    return _joined(shipped(), _checked(parse_yaml(text, name, fix=_fix(name), field="policy"), shipped()))


def _checked(read: YamlText, base: PolicyFile) -> PolicyFile:
    content = read.read_as(FORM)
    if faults := [*_ids(content, base), *_profiles(content, base), *_without(content, base)]:
        raise read.wrong(faults)
    return content


def _ids(content: PolicyFile, base: PolicyFile) -> Iterator[Fault]:
    for field, things, known in (("rules", content.rules, base.rules), ("flows", content.flows, base.flows)):
        shipped_ids, first = {one.id for one in known}, dict[str, int]()
        for number, one in enumerate(things):
            place = (field, number, "id")
            if one.id in first:
                yield Fault(place, f"{one.id} is the id of another", (field, first[one.id], "id"))
            elif one.id in shipped_ids or one.id in BUILT_IN:
                yield Fault(place, f"{one.id} is an id that is shipped; take another")
            first.setdefault(one.id, number)


def _profiles(content: PolicyFile, base: PolicyFile) -> Iterator[Fault]:
    profiles = {**base.profiles, **content.profiles}
    for number, rule in enumerate(content.rules):
        for place, fault in unknown_profiles(rule, profiles):
            yield Fault(("rules", number, "profiles", place), fault)
    for name, profile in content.profiles.items():
        yield from (Fault(("profiles", name, field), what) for field, what in _falls(name, profile, profiles))
        if (known := base.profiles.get(name)) and known.falls_back_to and not profile.falls_back_to:
            yield Fault(("profiles", name), f"{name} expires; say to which stricter profile it falls back")


def unknown_profiles(rule: Rule, profiles: Mapping[str, Profile]) -> Iterator[tuple[int, str]]:
    """The profiles of a rule that there are not: their places in it, and what is wrong."""
    for place, name in enumerate(rule.profiles):
        if name not in profiles:
            yield place, f"there is no profile {name} (known are {', '.join(sorted(profiles))})"


def _falls(name: str, profile: Profile, profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str]]:
    if profile.falls_back_to is None:
        if "lasts_at_most_s" in profile.model_fields_set:
            yield "lasts_at_most_s", "only a profile that falls back to another expires"
        return
    other = profiles.get(profile.falls_back_to)
    if other is None:
        yield "falls_back_to", f"there is no profile {profile.falls_back_to}"
    elif other.falls_back_to is not None:
        yield "falls_back_to", f"{profile.falls_back_to} itself expires, and so cannot be what {name} falls back to"
    elif (profile.sandbox, other.sandbox) == ("bubblewrap", "restricted") or profile.dry_run > other.dry_run:
        yield "falls_back_to", f"{profile.falls_back_to} is milder than {name}, and must be stricter"


def _without(content: PolicyFile, base: PolicyFile) -> Iterator[Fault]:
    rules = {rule.id: rule for rule in base.rules}
    for number, left_out in enumerate(content.without):
        if left_out not in rules:
            yield Fault(("without", number), f"there is no shipped rule {left_out}")
        elif rules[left_out].verdict == "deny":
            yield Fault(("without", number), f"{left_out} denies; such a rule holds always")


def _joined(base: PolicyFile, more: PolicyFile) -> PolicyFile:
    return PolicyFile(
        profiles={**base.profiles, **more.profiles},
        default=_stricter(base.default or Default(), more.default or Default()),
        flows=(*base.flows, *more.flows),
        private_hosts=(*base.private_hosts, *more.private_hosts),
        rules=(*(rule for rule in base.rules if rule.id not in more.without), *more.rules),
    )


def _stricter(one: Default, other: Default) -> Default:
    return min(one, other, key=lambda default: VERDICTS.index(default.harmless))


def _fix(name: str) -> str:
    return f"correct {name}; docs/agents/policy.md shows its form"
