"""Questions about an incident, answered from what was gathered: nothing else is looked at."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime

from blocks.errors import BadInput
from blocks.memory.lexical import lexical_vector
from blocks.memory.rank import coverage, rarity, similarity
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
LEAST = 0.1
"""Similarity below which a passage has nothing to do with a question; see `blocks.memory.rank.LEAST_SIMILARITY`."""
MODEL_S = 30.0

TASK = "Answer the question of somebody on call from the passages, in at most six sentences. Question: "


class Passage(Frozen):
    """A piece of what is known of an incident.

    Attributes:
        name: A fact's id, `timeline`, `alert`, `finding` or `gap`.
        text: What it says.
        at: When it was so.
    """

    name: str
    text: str
    at: AwareDatetime | None = None


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
        found.append(Passage(name=fact.fact_id, text=f"{kind}: {fact.title}\n{fact.text}".strip(), at=fact.at))
    found += [
        Passage(name="gap", text=f"not known, {source}: {why}") for source, why in (context.gaps if context else ())
    ]
    # Nothing answers a question as well as the same question, asked before.
    events = [one for one in incident.timeline if one.kind != "question"]
    return [*found, *(Passage(name="timeline", text=one.says, at=one.at) for one in events)]


def best_passages(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """The passages that fit a question, best first: by the words they share, the rare ones more, and by like words."""
    wanted = topic_words(question)
    have = [set(words(one.text)) for one in passages]
    counts = Counter(word for one in have for word in one)
    weights, vector = rarity({word: counts[word] for word in wanted}, len(passages)), lexical_vector(question)
    scored = [
        (similarity(float(lexical_vector(one.text) @ vector), coverage(one.text, weights)), -number)
        for number, one in enumerate(passages)
    ]
    best = sorted((one for one in scored if one[0] >= LEAST), reverse=True)[:MOST_PASSAGES]
    return [passages[-number] for _, number in best]


def noted_question(incident: Incident, made: IncidentAnswer, by: str, now: datetime) -> Incident:
    """The incident with a question on its timeline."""
    return incident.with_event(now, "question", f"asked: {made.question}", by)


def _at(passage: Passage) -> str:
    return f"({passage.at:%Y-%m-%d %H:%M} UTC) " if passage.at else ""
