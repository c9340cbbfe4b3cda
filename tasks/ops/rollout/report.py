"""What came of a watch, for people."""

from blocks.markdown import code
from blocks.plain_text import plain
from tasks.ops.rollout.watch import Watch


def markdown(watch: Watch) -> str:
    """A watch for people."""
    plan, state = watch.plan, watch.state
    lines = [
        f"# {plan.service} {plan.version}: {watch.status.replace('_', ' ')}",
        "",
        f"{state.looks} looks, {state.good_looks} with data, {sum(state.recent)} of the last {len(state.recent)} "
        f"critical; {plan.failures} of {plan.out_of} lead back.",
        "",
    ]
    if watch.why:
        lines += [f"Why: {code(plain(watch.why))}", ""]
    if state.last is not None:
        lines += ["| metric | canary | baseline | says |", "|---|---|---|---|"]
        lines += [
            f"| {one.name} | {_number(one.canary)} | {_number(one.baseline)} | {one.status} |"
            for one in state.last.metrics
        ]
        lines += [""]
    if watch.rollback is not None:
        lines += ["## Rollback", ""]
        lines += [
            f"- {code(plain(one.name))}: {'ok' if one.ok else code(plain(one.why))}" for one in watch.rollback.ran
        ]
        lines += [""]
    if state.history:
        lines += ["## What changed", ""] + [f"- {code(plain(line))}" for line in state.history[-20:]] + [""]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
