"""Commands that read words of theirs as code: no value may stand there."""

import re
from collections.abc import Iterator, Sequence

from blocks.policy.programs import Names, known_programs, name_of, program_of, runs_programs
from tasks.ops.runbook.template import Template

SCRIPT_AS_WORD = re.compile(r"-[A-Za-z]*c")
"""`-c`, `-ec`: the next word is a shell's script."""

TAKE_NAMES = frozenset(
    """
    systemctl service journalctl loginctl apt apt-get dpkg yum dnf rpm apk snap docker podman nerdctl kubectl oc helm ip
    aws gcloud az certbot
    """.split()  # noqa: SIM905
)
"""They can run programs, and the words that these subcommands do not introduce are names to them."""

RUN_OTHERS = frozenset(
    "exec run debug attach cp shell ssh plugin netns edit eval build compute ssm".split()  # noqa: SIM905
)
NO_VERB = ("journalctl", "certbot")
INNER = "--"
FIX = "write a script, and give it the value as an argument: [sh, /path/script.sh, …] or [sh, -c, '… \"$1\"', sh, …]"


def code_faults(argv: Sequence[Template], *, stdin: Template) -> Iterator[tuple[int, str]]:
    """Where values would be read as code: the word's number, and why not. -1 is standard input."""
    literals = [word.literal for word in argv]
    with_values = [number for number, literal in enumerate(literals) if literal is None]
    if literals[0] is None:
        yield 0, "the program is named in the runbook, and comes from no value"
        return
    known = known_programs()
    name = name_of(literals[0])
    shell, code, wraps = (_named(name, names) for names in (known.shells, known.code, known.wraps))
    if stdin.slots and (shell or code or wraps):
        yield -1, f"{name} may read it as code; {FIX}"
    if not with_values:
        return
    if name in TAKE_NAMES:
        yield from _names_only(argv, literals)
    elif shell or code:
        first = _script_ends(literals, shell=shell)
        yield from ((number, f"{name} may read it as code; {FIX}") for number in with_values if number < first)
    elif wraps:
        hint = {"sudo": "say `become: true`", "ssh": "name a host of the inventory", "timeout": "say `timeout_s`"}
        why = f"{name} runs what its words say; {hint.get(name, FIX)}"
        yield from ((number, why) for number in with_values)
    elif runs_programs([literal or "value" for literal in literals]) or _is_script(name):
        yield from ((number, f"{name} runs what its words say; {FIX}") for number in with_values)


def _script_ends(literals: Sequence[str | None], *, shell: bool) -> int:
    """The number of the first word that is data: what follows the script, or the file that holds it."""
    second = literals[1] if len(literals) > 1 else None
    if second is None:
        return len(literals)
    if not second.startswith("-"):
        return 2 if shell or "/" in second else len(literals)
    takes_script = shell and SCRIPT_AS_WORD.fullmatch(second)
    return 3 if takes_script and len(literals) > 2 and literals[2] is not None else len(literals)


def _names_only(argv: Sequence[Template], literals: Sequence[str | None]) -> Iterator[tuple[int, str]]:
    """Of docker, kubectl and others: a value may name a container; what runs in it is written in the runbook."""
    bare = (number for number, word in enumerate(argv) if word.slots and not str(word.parts[0]).startswith("-"))
    first = next(bare, 0)
    if (
        name_of(literals[0] or "") not in NO_VERB
        and all(str(word).startswith("-") for word in literals[1:first])
        and first
    ):
        yield first, f"what {literals[0]} does is written in the runbook, and comes from no value"
    running = next((number for number, word in enumerate(literals) if word in RUN_OTHERS), None)
    if running is None:
        return
    inner = literals.index(INNER) if INNER in literals else running + 1
    for number, word in enumerate(literals):
        if word is None and number > inner:
            yield number, f"{literals[0]} {literals[running]} runs what its words say; {FIX}"


def _is_script(name: str) -> bool:
    program = program_of(name)
    return name in ("awk", "gawk", "mawk", "nawk", "sed", "gsed") or (
        program is not None and program.script is not None
    )


def _named(name: str, lists: Names) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for names in lists for pattern in names)
