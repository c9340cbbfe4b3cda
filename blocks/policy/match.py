"""Whether a rule is about an action."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from blocks.action import RISKS
from blocks.policy.facts import Facts
from blocks.policy.hosts import Host, host_pattern
from blocks.policy.paths import Places, Seen
from blocks.policy.rule import Rule

T = TypeVar("T")


def touches(rule: Rule, facts: Facts) -> bool:
    """Whether a rule may be about something of an action: enough to forbid, to ask and to tell."""
    return all(condition(rule, facts, False) for condition in CONDITIONS)


def covers(rule: Rule, facts: Facts) -> bool:
    """Whether a rule surely is about all of an action: needed to allow."""
    return all(condition(rule, facts, True) for condition in CONDITIONS)


def _tools(rule: Rule, facts: Facts, _all: bool) -> bool:
    return named(facts.action.tool, rule.tools, rule.tools_except)


def _people(rule: Rule, facts: Facts, _all: bool) -> bool:
    action = facts.action
    return named(action.user, rule.users, rule.users_except) and named(action.agent, rule.agents, rule.agents_except)


def _risk(rule: Rule, facts: Facts, _all: bool) -> bool:
    risk = RISKS.index(facts.action.risk)
    least = 0 if rule.risk_at_least is None else RISKS.index(rule.risk_at_least)
    most = len(RISKS) if rule.risk_at_most is None else RISKS.index(rule.risk_at_most)
    return least <= risk <= most


def _kind(rule: Rule, facts: Facts, _all: bool) -> bool:
    action = facts.action
    return (
        rule.read_only in (None, action.read_only)
        and rule.reversible in (None, action.reversible)
        and rule.outside in (None, facts.goes_out)
        and rule.labels <= action.labels
    )


def _times(rule: Rule, facts: Facts, _all: bool) -> bool:
    return not rule.times or any(window.holds(facts.now) for window in rule.times)


def _size(rule: Rule, facts: Facts, all_: bool) -> bool:
    """A size that nobody knows may be any; what only reads writes nothing."""
    told = facts.action.touched.size_bytes
    size = 0 if told is None and facts.action.read_only else told
    if size is None:
        return not all_ or (rule.size_above_bytes is None and rule.size_at_most_bytes is None)
    above = rule.size_above_bytes is None or size > rule.size_above_bytes
    return above and (rule.size_at_most_bytes is None or size <= rule.size_at_most_bytes)


def _paths(rule: Rule, facts: Facts, all_: bool) -> bool:
    return (
        _anywhere(rule, facts, all_)
        and _at(facts.reads, rule.reads, rule.reads_except, facts, all_)
        and _at(facts.writes, rule.writes, rule.writes_except, facts, all_, around=True)
    )


def _anywhere(rule: Rule, facts: Facts, all_: bool) -> bool:
    """A path that a command mentions counts where places are named, not where everything but those is meant."""
    seen = (*facts.reads, *facts.mentioned) if rule.paths else facts.reads
    if all_:
        return _at((*facts.writes, *seen), rule.paths, rule.paths_except, facts, all_)
    return _at(facts.writes, rule.paths, rule.paths_except, facts, all_, around=True) or _at(
        seen, rule.paths, rule.paths_except, facts, all_
    )


def _at(
    paths: Sequence[Seen],
    wanted: Sequence[str],
    excepted: Sequence[str],
    facts: Facts,
    all_: bool,
    around: bool = False,
) -> bool:
    if not wanted and not excepted:
        return True
    meant, not_meant = Places(wanted, facts.workspace), Places(excepted, facts.workspace)
    if all_:
        return bool(paths) and all(map(meant.is_surely, paths)) and not not_meant.any_may_be(paths, around=True)
    may = meant.any_may_be(paths, around=around) if wanted else paths
    return not all(map(not_meant.is_surely, may))


def _hosts(rule: Rule, facts: Facts, all_: bool) -> bool:
    if not rule.hosts and not rule.hosts_except:
        return True
    wanted, excepted = [*map(host_pattern, rule.hosts)], [*map(host_pattern, rule.hosts_except)]

    def is_meant(host: Host) -> bool:
        return any(one.is_surely(host) for one in wanted) and not any(one.may_be(host) for one in excepted)

    def may_be_meant(host: Host) -> bool:
        may = not wanted or any(one.may_be(host) for one in wanted)
        return may and not any(one.is_surely(host) for one in excepted)

    if all_:
        return _every(facts.hosts, is_meant)
    return any(map(may_be_meant, (*facts.hosts, *facts.mentioned_hosts) if wanted else facts.hosts))


def _commands(rule: Rule, facts: Facts, all_: bool) -> bool:
    if not rule.commands:
        return True
    if facts.argv is None:
        return False
    if all_:
        return any(command.is_surely(facts.argv) for command in rule.commands)
    return any(command.may_be(argv) for command in rule.commands for argv in facts.commands)


CONDITIONS: tuple[Callable[[Rule, Facts, bool], bool], ...] = (
    _tools,
    _kind,
    _risk,
    _people,
    _times,
    _size,
    _hosts,
    _commands,
    _paths,
)
"""Those that cost least first."""


def named(name: str, wanted: Sequence[str], excepted: Sequence[str] = ()) -> bool:
    """Whether a name is among those wanted, where any are, and not among those excepted."""
    is_wanted = not wanted or any(fnmatchcase(name, one) for one in wanted)
    return is_wanted and not any(fnmatchcase(name, one) for one in excepted)


def _every(things: Iterable[T], is_meant: Callable[[T], bool]) -> bool:
    """Whether there is a thing, and all are meant."""
    found = list(things)
    return bool(found) and all(map(is_meant, found))
