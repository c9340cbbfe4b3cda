"""What can be drawn from a text without a model: key sentences, decisions, action items, tags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from blocks.language.ranking import central, key_phrases
from blocks.language.sentences import split_text
from blocks.language.words import SOCIAL, UPPER
from blocks.transcript import Segment

LEAST_WORDS = 5
"""Shorter sentences carry too little to stand in a summary."""

DECISION = re.compile(
    r"\b(decided|decision is|agreed (to|on|that)|approved|will go with|we chose|settled on|signed off)\b"
    r"|quyết định|thống nhất|nhất trí|phê duyệt|đã duyệt|chốt (lại|phương án|là|thời)",
    re.IGNORECASE,
)
UNDECIDED = re.compile(
    r"(\b(not|never|nobody|nothing|if|unless|until|whether)|n't|no one)( [\w']+){0,3} "
    r"(decided?|agreed?|approved?|chosen?|settled|signed)\b"
    r"|(chưa|không|nếu)( \w+){0,3} (quyết định|thống nhất|nhất trí|phê duyệt|duyệt|chốt)",
    re.IGNORECASE,
)
"""Speaks of a decision that was not taken."""

RISK = re.compile(
    r"\b(problem|issue|risk|blocked|delay(ed)?|concern|complain(t|ed|s)?|slow|broken|fail(s|ed|ure)?)\b"
    r"|rủi ro|vấn đề|chậm|lỗi|khó khăn|khiếu nại",
    re.IGNORECASE,
)

NAME = rf"[{UPPER}][\w'’-]*"
NOBODY = {
    "It",
    "That",
    "This",
    "There",
    "Which",
    "What",
    "Who",
    "He",
    "She",
    "They",
    "The",
    "And",
    "But",
    "If",
    "You",
}
"""Capitalised words that do not say who."""

WILL = re.compile(
    rf"(?:^|(?<=[,;.] )|\band |\bthen )(?P<who>I|We|we|The \w+(?: \w+)?|the \w+(?: \w+)?|{NAME}(?: {NAME})?) "
    r"(?:will|shall|must|has to|have to|needs? to|is going to|are going to) (?P<what>[^.?!;]+)"
)
ASK = re.compile(
    rf"\b[Pp]lease (?:ask|tell|get) (?P<who>{NAME}(?: {NAME})?|[^\W\d_]+) to (?P<what>[^.?!;]+)|"
    rf"(?:^|, )(?P<who2>{NAME}), please (?P<what2>[^.?!;]+)|"
    r"(?:^|\b)[Pp]lease (?P<what3>[^.?!;]+)"
)
WILL_VI = re.compile(
    rf"(?P<who>(?:[Aa]nh |[Cc]hị |[Ee]m |[Ôô]ng |[Bb]à )?{NAME}(?: {NAME})*|[Tt]ôi|[Cc]húng tôi|[Cc]húng ta|[Ee]m|"
    r"[Pp]hòng \w+(?: \w+)?|[Bb]ộ phận \w+(?: \w+)?) (?:sẽ|phải|cần|chịu trách nhiệm) (?P<what>[^.?!;]+)"
)
ASK_VI = re.compile(
    rf"(?:[Gg]iao cho|[Nn]hờ|[Đđ]ề nghị|[Yy]êu cầu) (?P<who>(?:anh |chị |em |ông |bà )?{NAME}(?: {NAME})*) "
    r"(?P<what>[^.?!;]+)"
)
NO_ACTION = re.compile(r"^(be|not|have|see|need|agree|think|know|like|love|also be)\b", re.IGNORECASE)

DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
WHEN = re.compile(
    rf"\b((?:by|before|until|on|after|at|within|this|next|no later than) )+(?:(?:the |next |this )*"
    rf"(?:{DAY}(?: (?:morning|afternoon|evening|noon))?|{MONTH}(?: \d+\w*)?|noon|midnight|tomorrow|today|tonight|"
    rf"week|month|quarter|year|end of (?:the |this |next )?(?:day|week|month|quarter|year)|"
    rf"[\w-]+ of {MONTH}|\d[\d:.]*(?: ?(?:am|pm|o'clock|days?|hours?|weeks?))?)"
    rf"(?: at [\w: ]+)?)|\b(?:tomorrow|today|tonight|next (?:week|month|year|{DAY}))\b"
    r"|(?:(?:trước|vào|đến|trong|chậm nhất(?: là)?|hạn(?: là)?) )+(?:ngày \d+(?:[/ ]\w+)*|"
    r"thứ (?:hai|ba|tư|năm|sáu|bảy)|chủ nhật|tuần (?:này|sau|tới)|tháng (?:này|sau|tới|\d+)|"
    r"cuối (?:tuần|tháng|quý|năm)|hôm nay|ngày mai|\d+ \w+)"
    r"|\b(?:ngày mai|hôm nay|tuần sau|tuần tới|tháng sau)\b"
)


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something somebody is to do; `who` and `when` are empty where the text does not say."""

    who: str
    what: str
    when: str


class Facts:
    """A text and what can be drawn from it; each part is worked out when it is first asked for.

    Args:
        segments: The utterances, written as sentences, with speakers where known.
        language: ISO 639-1 code.
    """

    def __init__(self, segments: Sequence[Segment], language: str) -> None:
        self.segments = segments
        self.language = language

    @cached_property
    def sentences(self) -> list[tuple[str, str]]:
        """(speaker or empty, sentence), in order."""
        return [
            (speaker, sentence)
            for segment in self.segments
            for speaker, text in [_speaker_of(segment)]
            for sentence in split_text(text)
        ]

    @cached_property
    def text(self) -> str:
        """All of it, one line an utterance."""
        return "\n".join(segment.text for segment in self.segments)

    @cached_property
    def substantial(self) -> list[str]:
        """The sentences that say something."""
        return [text for _, text in self.sentences if says_something(text)]

    def key_sentences(self, most: int) -> list[str]:
        """The most central sentences, in the order they were said."""
        statements = [text for text in self.substantial if not text.endswith("?")]
        return central(statements, most, self.language)

    @cached_property
    def decisions(self) -> list[str]:
        """Sentences that report a decision."""
        return [
            text
            for text in self.substantial
            if DECISION.search(text) and not UNDECIDED.search(text) and not text.endswith("?")
        ]

    @cached_property
    def risks(self) -> list[str]:
        """Sentences that speak of a problem."""
        return [text for text in self.substantial if RISK.search(text) and not text.endswith("?")]

    @cached_property
    def questions(self) -> list[str]:
        """Sentences that ask."""
        return [text for text in self.substantial if text.endswith("?")]

    @cached_property
    def actions(self) -> list[Action]:
        """What somebody said they or others would do."""
        found = [
            action
            for speaker, text in self.sentences
            if not text.endswith("?") and (action := action_in(text, speaker, self.language))
        ]
        return list(dict.fromkeys(found))

    @cached_property
    def tags(self) -> list[str]:
        """Key phrases, most telling first."""
        return key_phrases(" ".join(self.substantial), self.language)

    @cached_property
    def participants(self) -> list[str]:
        """Speakers by name or label, in order of first words."""
        return list(dict.fromkeys(speaker for speaker, _ in self.sentences if speaker))

    @cached_property
    def title(self) -> str:
        """The first key phrase that is spoken of, as people open with their topic; else the first sentence."""
        lowered = self.text.lower()
        telling = [phrase for phrase in self.tags if " " in phrase] or self.tags
        first = min(telling, key=lambda phrase: lowered.find(phrase.lower()), default="")
        if first:
            return first[:1].upper() + first[1:]
        return next((text.rstrip(".") for _, text in self.sentences), "")


SPEAKER = re.compile(
    rf"^(?P<name>(?:Speaker \d+|(?:(?:Anh|Chị|Ông|Bà|Em|Mr\.?|Ms\.?|Mrs\.?|Dr\.?) )?{NAME}(?: {NAME}){{0,2}})): "
)


def _speaker_of(segment: Segment) -> tuple[str, str]:
    """Who speaks, by the segment's label or by `Name: ` before the text, and the text without it."""
    if segment.speaker:
        return segment.speaker, segment.text
    if named := SPEAKER.match(segment.text):
        return named["name"], segment.text[named.end() :]
    return "", segment.text


def says_something(sentence: str) -> bool:
    """Whether a sentence has some words beyond greetings and courtesies."""
    words = re.findall(r"[^\W\d_]+|\d+", sentence.lower())
    return len(words) >= LEAST_WORDS and sum(word not in SOCIAL for word in words) >= LEAST_WORDS - 1


def action_in(sentence: str, speaker: str, language: str) -> Action | None:
    """The action item a sentence holds, None when it holds none."""
    patterns = (WILL_VI, ASK_VI) if language == "vi" else (ASK, WILL)
    for pattern in patterns:
        for found in pattern.finditer(sentence):
            groups = found.groupdict()
            who = groups.get("who") or groups.get("who2") or ""
            what = groups.get("what") or groups.get("what2") or groups.get("what3") or ""
            if who in NOBODY or NO_ACTION.match(what):
                continue
            return _action(_named(who, speaker), what)
    return None


def _named(who: str, speaker: str) -> str:
    """«I» is the speaker, where the recording says who that is."""
    return speaker if speaker and who in ("I", "Tôi", "tôi", "Em", "em") else who


def _action(who: str, what: str) -> Action:
    when = WHEN.search(what)
    task = what
    if when:
        task = f"{what[: when.start()].rstrip()} {what[when.end() :].lstrip()}".strip()
    return Action(who=who, what=" ".join(task.strip(" ,.").split()), when=when[0].strip() if when else "")
