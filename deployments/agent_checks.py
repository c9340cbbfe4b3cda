"""What `c500 doctor` looks at for agents: what is set up wrongly is a fault, what is absent is told with its reason."""

from collections.abc import Callable, Iterator

from blocks.errors import NotFound, Unsupported


def check_agents() -> str:
    """Every agent's file is well written. Raises `NotFound`, `BadInput`."""
    from blocks.settings import settings
    from tasks.agents.definition import agent_names, read_agent

    folder = settings().agents_dir
    if folder is not None and not folder.expanduser().is_dir():
        raise NotFound(f"AGENTS_DIR is {folder}, which is no folder", fix="make it, or name another")
    return ", ".join(read_agent(name, folder).name for name in agent_names(folder))


def check_rules() -> str:
    """The policy is well written and has AGENT_PROFILE. Raises `NotFound`, `BadInput`."""
    from blocks.policy.open import open_policy
    from blocks.settings import settings

    chosen, policy = settings(), open_policy()
    in_force = policy.in_force(chosen.agent_profile)
    of = f"of {chosen.policy_file} and " if chosen.policy_file else ""
    instead = "" if in_force == chosen.agent_profile else f", instead of {chosen.agent_profile}"
    return f"{len(policy.content.rules)} rules {of}of C500, profile {in_force}{instead}"


def check_sandbox() -> str:
    """Where programs of agents run under AGENT_PROFILE; without a sandbox they are refused, and all else goes on."""
    from blocks.policy.open import open_policy
    from blocks.sandbox import open_sandbox
    from blocks.settings import settings

    try:
        sandbox = open_sandbox(open_policy().sandboxed(settings().agent_profile))
    except Unsupported as error:
        return f"none, so agents run no programs: {error.message}\nto change that: {error.fix}"
    return "bubblewrap" if sandbox.name == "bubblewrap" else "restricted: no boundary around the programs of agents"


def check_audit() -> str:
    """The audit log ends as it was written; a glance. Raises `AuditBroken`, `StoreFailed`, `NotFound`, `NotAllowed`."""
    from blocks.audit.places import AuditPlaces, checked_head
    from blocks.settings import settings

    home = settings().agents_home
    head = checked_head(home)
    if head.seq == 0:
        return "empty: no agent has run yet"
    return f"{head.seq} records in {AuditPlaces(home).folder}; `c500 audit verify` looks at all of them"


def check_tools() -> str:
    """Which tools agents do without, and why. Raises `BadInput`, `StoreFailed`: what they need is set up wrongly."""
    return "\n".join(_absent()) or "all"


def _absent() -> Iterator[str]:
    from blocks.databases_file import read_databases
    from blocks.settings import settings
    from tasks.agents.registry import clusters_of
    from tasks.agents.tools import clusters
    from tasks.agents.tools.mcp import FOLDER, pins_of, read_mcp

    chosen = settings()
    for program, why in clusters.absent(clusters_of(chosen)).items():
        yield f"no {program} tools: {why}"
    if chosen.prometheus_url is None:
        yield "no query_prometheus: PROMETHEUS_URL is not set"
    if not read_databases(chosen.databases_file).by_name:
        yield f"no query_sql: no databases in {chosen.databases_file}"
    if not read_mcp(chosen.mcp_file).by_name:
        yield f"no MCP tools: no servers in {chosen.mcp_file}"
    for server, said in pins_of(chosen.agents_home.expanduser() / FOLDER).waiting().items():
        yield f"{len(said)} tools of MCP server {server} are new or changed: `c500 agents mcp list`"


CHECKS: dict[str, Callable[[], str]] = {
    "agents": check_agents,
    "agent rules": check_rules,
    "agent sandbox": check_sandbox,
    "agent audit": check_audit,
    "agent tools": check_tools,
}
