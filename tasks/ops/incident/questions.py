"""Questions about an incident, answered from what was gathered: nothing else is looked at."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime

from blocks.errors import BadInput
from blocks.memory.lexical import lexical_vector
from blocks.memory.rank import rarity, similarity
from blocks.memory.words import topic_words, words
from blocks.model import Frozen
from blocks.plain_text import cut, visible
from blocks.progress import in_thread
from tasks.ops.asking import Model
from tasks.ops.incident.briefing import Briefing
from tasks.ops.incident.context import TEXT_CHARS, Context
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.wording import STYLE, Reply

QUESTION_CHARS = 1000
MOST_PASSAGES = 5
HALF = 0.5
"""A passage fits that has more than so much of what a question's words tell, or two of them: by one word in common, a
page about orders would answer how many of them were lost."""
MEANT = 1.0
"""What a passage of the kind that is asked for has ahead of all others."""

SUFFIXES = ("ments", "ment", "ings", "ing", "ers", "er", "ed", "es", "s", "e")
SHORTEST_STEM = 3

KINDS: dict[str, tuple[str, ...]] = {
    "own owner contact team responsible call page": ("service",),
    "change changed commit deploy deployed deployment release rollout merge": ("commit", "deployment"),
    "log logs line lines": ("log_errors", "log_lines"),
    "error errors": ("log_errors",),
    "metric metrics graph prometheus": ("metric",),
    "before earlier previous similar case": ("case",),
    "runbook runbooks": ("runbook",),
    "depend depends dependency dependencies need needs": ("dependency", "service"),
    "why cause causes reason": ("finding",),
    "happen happened timeline": ("timeline", "finding"),
    "firing alert alerts": ("alert",),
    "unknown missing gap gaps": ("gap",),
}
"""Which kinds of passages are asked for by which words; another kind of question is a row."""
MODEL_S = 30.0

TASK = "Answer the question of somebody on call from the passages, in at most six sentences. Question: "


class Passage(Frozen):
    """A piece of what is known of an incident.

    Attributes:
        name: A fact's id, `incident`, `timeline`, `alert`, `finding` or `gap`.
        text: What it says.
        at: When it was so.
        kind: Of a fact; else as `name`.
    """

    name: str
    text: str
    at: AwareDatetime | None = None
    kind: str = ""


class IncidentAnswer(Frozen):
    """An answer.

    Attributes:
        question: What was asked.
        answer: The answer; empty where nothing that was gathered says anything about it.
        written_by: `rules`: the passages as they are; else the model.
        passages: What it rests on, best first.
        gaps: What was not known when it was gathered.
    """

    question: str
    answer: str
    written_by: str = "rules"
    passages: tuple[Passage, ...] = ()
    gaps: tuple[str, ...] = ()


def checked_question(question: str, kind: str = "question") -> str:
    """A question that can be searched for, or a note. Raises `BadInput`."""
    text = " ".join(visible(question.encode(errors="replace").decode()).split())
    if not text or len(text) > QUESTION_CHARS:
        raise BadInput(f"a {kind} has 1 to {QUESTION_CHARS} characters", fix="use a sentence or two", field=kind)
    return text


async def answered(
    question: str,
    incident: Incident,
    context: Context | None,
    briefing: Briefing | None,
    model: Model,
) -> IncidentAnswer:
    """Answer a question from what was gathered.

    Args:
        question: The question; see `checked_question`.
        incident: About which.
        context, briefing: What was gathered and made of it; None where that is still under way.
        model: Answers, where there is one; its redactor takes secrets out.
    """
    clean = model.redactor.text
    asked = clean(question)
    best = await in_thread(best_passages, asked, passages_of(incident, context, briefing))
    gaps = tuple(f"{source}: {why}" for source, why in context.gaps) if context else ("nothing is gathered yet",)
    by_rules = "\n".join(f"[{one.name}] {_at(one)}{one.text}" for one in best)
    made = IncidentAnswer(question=asked, answer=by_rules, passages=tuple(best), gaps=gaps)
    if not best:
        return made
    told = await model.ask(f"{TASK}{asked}\n{STYLE}", by_rules, Reply, within_s=MODEL_S, clean=clean)
    if told is None:
        return made
    said, name = told
    return made.model_copy(update={"answer": said.answer, "written_by": name})


def passages_of(incident: Incident, context: Context | None, briefing: Briefing | None) -> list[Passage]:
    """All that is known of an incident, in pieces."""
    state = f"incident {incident.incident_id} is {incident.status}, severity {incident.severity}: {incident.title}"
    found = [Passage(name="incident", text=state, at=incident.began_at)]
    for alert in incident.alerts:
        about = "; ".join(f"{name}: {text}" for name, text in {**alert.labels, **alert.annotations}.items())
        text = cut(f"alert {alert.name} is {alert.status}: {about}", TEXT_CHARS)
        found.append(Passage(name="alert", text=text, at=alert.started_at))
    if briefing is not None:
        found += [
            Passage(name="finding", text=f"likely cause ({one.confidence}): {one.says}. {one.suggests}".strip())
            for one in briefing.findings
        ]
    for fact in context.facts if context else ():
        kind = fact.kind.replace("_", " ")
        text = f"{kind}: {fact.title}\n{fact.text}".strip()
        found.append(Passage(name=fact.fact_id, text=text, at=fact.at, kind=fact.kind))
    found += [
        Passage(name="gap", text=f"not known, {source}: {why}") for source, why in (context.gaps if context else ())
    ]
    # Nothing answers a question as well as the same question, asked before.
    events = [one for one in incident.timeline if one.kind != "question"]
    return [*found, *(Passage(name="timeline", text=one.says, at=one.at) for one in events)]


def best_passages(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """The passages that fit a question, best first: of the kind that it asks for, else by words that they share."""
    wanted = list(dict.fromkeys(_stem(word) for word in topic_words(question)))
    have = [{_stem(word) for word in words(one.text)} for one in passages]
    counts = Counter(stem for one in have for stem in one)
    weights, vector = rarity({stem: counts[stem] for stem in wanted}, len(passages)), lexical_vector(question)
    meant, scored = _kinds_meant(question), list[tuple[float, int]]()
    for number, (one, stems) in enumerate(zip(passages, have, strict=True)):
        shared = [stem for stem in wanted if stem in stems]
        covered, is_meant = sum(weights[stem] for stem in shared), (one.kind or one.name) in meant
        if is_meant or len(shared) > 1 or covered > HALF:
            alike = similarity(float(lexical_vector(one.text) @ vector), covered)
            scored.append((alike + (MEANT if is_meant else 0), -number))
    return [passages[-number] for _, number in sorted(scored, reverse=True)[:MOST_PASSAGES]]


def _kinds_meant(question: str) -> set[str]:
    asked = {_stem(word) for word in words(question)}
    return {kind for row, kinds in KINDS.items() if asked & {_stem(word) for word in row.split()} for kind in kinds}


def _stem(word: str) -> str:
    """A word without its usual English endings: `owner` and `owns` are one."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= SHORTEST_STEM:
            return word.removesuffix(suffix)
    return word


def noted_question(incident: Incident, made: IncidentAnswer, by: str, now: datetime) -> Incident:
    """The incident with a question on its timeline."""
    return incident.with_event(now, "question", f"asked: {made.question}", by)


def _at(passage: Passage) -> str:
    return f"({passage.at:%Y-%m-%d %H:%M} UTC) " if passage.at else ""
