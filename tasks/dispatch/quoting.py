"""Prompts that quote results: as many as fit into a model, whole ones, and none is dropped silently."""

from collections.abc import Callable, Sequence

from blocks.accounts.chat import ChatRequest
from blocks.job import Notice
from tasks.dispatch.prompts import Quoted

Build = Callable[[Sequence[Quoted], Sequence[Quoted]], ChatRequest]
"""Makes the prompt with these results, and says in it that those were left out."""


def fitting(
    build: Build, quoted: Sequence[Quoted], fits: Callable[[ChatRequest], bool]
) -> tuple[ChatRequest, list[Quoted]]:
    """The prompt with as many results as fit; the least important, of these the longest, goes first.

    When it does not fit without any, it is returned with none: the pool's error then says by how much.

    Args:
        build: Makes the prompt.
        quoted: All results it should quote, in order.
        fits: Whether a model takes a prompt.

    Returns:
        The prompt, and what was left out.
    """
    kept, left_out = list(quoted), list[Quoted]()
    while not fits(request := build(kept, left_out)) and kept:
        least = min(kept, key=lambda one: (one.priority, -len(one.text)))
        kept.remove(least)
        left_out.append(least)
    return request, left_out


def left_out_notices(step: str, left_out: Sequence[Quoted]) -> tuple[Notice, ...]:
    """Says which results a prompt had no room for."""
    if not left_out:
        return ()
    message = f"The prompt was too long: it does not quote the results of {', '.join(one.id for one in left_out)}."
    return (Notice(step=step, code="results_left_out", message=message),)
