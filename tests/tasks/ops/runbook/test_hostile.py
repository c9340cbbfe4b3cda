"""Whatever an alert says stays data: nothing of it is run, and each value arrives whole in its own word.

Real programs on this host write down what they were told; `pwned` appears if anything else was run.
"""

import asyncio
import re
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from blocks.approvals import ApprovalRequest
from blocks.errors import BadInput
from blocks.hosts.inventory import ONLY_HERE
from tasks.ops.runbook.alert import Alert
from tasks.ops.runbook.checked import ready
from tasks.ops.runbook.metric import rendered
from tasks.ops.runbook.picture import picture
from tasks.ops.runbook.record import RunbookRun
from tasks.ops.runbook.template import Refused, parse_template
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.runbook.conftest import Place, agreeing

RUNS = count()

CORPUS = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "&& touch pwned #",
    "| touch pwned",
    "x\ntouch pwned\n",
    "x\r\ntouch pwned",
    "> pwned",
    "${IFS}touch${IFS}pwned",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "{{ other }}",
    "{{ 7 * 7 }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "{# comment #}",
    '{{ "{{ other }}" }}',
    "%(other)s %s {0.__class__} {other}",
    "' || true || '",
    "' == '' || seen != '",
    '" + other + "',
    "true",
    "seen.matches('(a+)+$')",
    "\u202egnp.exe",
    "\uff04\uff08touch pwned\uff09",
    "\u037etouch pwned",
    "a\u200bb\u2060c",
    "\x1b]0;pwned\x07\x1b[2J",
    "!touch pwned",
    "*",
    "?[a-z]{a,b}",
    "\\",
    " ",
    "",
    "<script>fetch('//x')</script>",
    "![x](http://x/?q=1)",
    "| a | b |\n|---|---|",
    "a" * 4000,
]
PATHS = ["../../etc/passwd", "..", "/etc/shadow", "~/.ssh/id_rsa", "@/etc/passwd", "a/../../b", "..\\..\\x/.."]
OPTIONS = ["-rf", "--checkpoint-action=exec=touch pwned", "-", "-oProxyCommand=touch pwned", "--"]
UNUSABLE = ["nul\x00here", "half \ud800 of a character", "a" * 4001]

BOOK = """
parameters:
  label: {type: text, alert: labels.name}
  other: {type: text, default: SECRET-OTHER}
steps:
  - name: shown
    exec: [RECORD, "{{ label }}", "--name={{ label }}", "<{{ label }}>"]
    read_only: true
    parse: [{set: seen, from: stdout, regex: '(?s)^(.*)$', default: ""}]
  - name: is-it
    if: seen == 'yes' && label != other
    then:
      - name: never
        exec: [RECORD, never]
  - name: by-shell
    exec: [sh, -c, 'FOLDER/record "$1" > /dev/null', sh, "{{ label }}"]
    read_only: true
  - name: fed
    exec: [RECORD, fed]
    stdin: "{{ label }}"
    read_only: true
  - name: agree
    approve: "May {{ label }}?"
  - name: tell
    notify: {subject: "s {{ label }}", body: "b {{ label }}"}
"""

hostile = hypothesis_settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def run(place: Place, make_performer: MakePerformer, value: str) -> tuple[RunbookRun, list[ApprovalRequest]]:
    asked: list[ApprovalRequest] = []
    performer = make_performer(run_id=f"hostile-{next(RUNS)}", ask=agreeing(asked))
    return await place.run(alert=Alert(labels={"name": value}), performer=performer), asked


def check_untouched(place: Place) -> None:
    assert not list(place.folder.parent.rglob("pwned*"))
    assert "SECRET-OTHER" not in place.log.read_text()
    assert ["never"] not in place.told


async def whole(place: Place, make_performer: MakePerformer, value: str) -> None:
    before = len(place.told) if place.log.exists() else 0
    ended, asked = await run(place, make_performer, value)
    assert ended.status == "done", ended.why
    assert place.told[before:] == [[value, f"--name={value}", f"<{value}>"], [value], ["fed"]]
    # The rules may ask about the shell, too, where a value looks like a command that they know.
    [question] = [one.arguments["question"] for one in asked if one.tool == "approve_step"]
    assert question == f"May {value}?"
    check_untouched(place)
    check_picture(place, ended)


def check_picture(place: Place, ended: RunbookRun) -> None:
    """Nothing of the value is Markdown or a character that nobody sees: a head, a line, and a row for each step."""
    shown = picture(ended, ready(place.folder / "book.yaml", ONLY_HERE))
    assert sum(line.startswith("|") for line in shown.split("\n")) == 10
    assert all(char.isprintable() or char in "\n\u2003" for char in shown)


@pytest.mark.parametrize("value", CORPUS)
async def test_a_hostile_label_is_one_word(place: Place, make_performer: MakePerformer, value: str) -> None:
    place.write(BOOK)
    await whole(place, make_performer, value)


@hostile
@given(value=st.text(max_size=60).filter(lambda text: not _is_led(text)))
def test_any_text_is_one_word(place: Place, make_performer: MakePerformer, value: str) -> None:
    place.write(BOOK)
    asyncio.run(whole(place, make_performer, value))


@pytest.mark.soak
@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.lists(st.sampled_from([*CORPUS, *PATHS, *OPTIONS]), min_size=2, max_size=5).map("".join))
def test_any_mixture_is_one_word_or_refused(place: Place, make_performer: MakePerformer, value: str) -> None:
    place.write(BOOK)
    place.log.touch()
    if len(value) > 4000:
        with pytest.raises(BadInput):
            asyncio.run(run(place, make_performer, value))
    elif _is_led(value):
        assert asyncio.run(run(place, make_performer, value))[0].status == "refused"
        check_untouched(place)
    else:
        asyncio.run(whole(place, make_performer, value))


def _is_led(text: str) -> bool:
    """Whether a value is refused as the first of a word: an option, a path, or nothing that a command can hold."""
    led = text.startswith(("-", "/", "~", "@"))
    steps = [part for word in _words(text) for part in word.split("/")]
    return led or ".." in steps or "\x00" in text or any(0xD800 <= ord(char) < 0xE000 for char in text)


def _words(text: str) -> list[str]:
    return re.split(r"[\s=:,]", f"<{text}>") + re.split(r"[\s=:,]", text)


@pytest.mark.parametrize("value", [*PATHS, *OPTIONS])
async def test_paths_and_options_are_refused_before_anything_runs(
    place: Place, make_performer: MakePerformer, value: str
) -> None:
    place.write(BOOK)
    ended, asked = await run(place, make_performer, value)
    assert (ended.status, asked, place.log.exists()) == ("refused", [], False)


async def test_a_step_may_allow_options_and_paths(place: Place, make_performer: MakePerformer) -> None:
    place.write(
        "parameters: {label: {type: text, alert: labels.name}}\n"
        'steps: [{name: one, exec: [RECORD, "{{ label }}"], allow_option: true, allow_path: true}]'
    )
    for value in ("-rf", "/etc/shadow"):
        assert (await run(place, make_performer, value))[0].status == "done"
    assert place.told == [["-rf"], ["/etc/shadow"]]


@pytest.mark.parametrize("value", UNUSABLE)
async def test_what_no_command_can_hold_is_refused_with_its_name_and_without_its_value(
    place: Place, make_performer: MakePerformer, value: str
) -> None:
    place.write(BOOK)
    with pytest.raises(BadInput) as caught:
        await run(place, make_performer, value)
    assert caught.value.details["field"] == "label"
    assert value not in caught.value.message


@pytest.mark.parametrize("value", ["x/y", "..", ".", "", "../x"])
async def test_a_name_within_a_path_leads_nowhere_else(place: Place, make_performer: MakePerformer, value: str) -> None:
    place.write(
        "parameters: {label: {type: text, alert: labels.name}}\n"
        'steps: [{name: one, exec: [RECORD, "FOLDER/{{ label }}/x"], allow_path: true}]'
    )
    assert (await run(place, make_performer, value))[0].status == "refused"
    assert place.told == []


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "/var/../etc", "/var//log", "/variable", "var", "/var/\n", "/var/lo\u202eg"]
)
async def test_a_path_stays_under_its_folder(place: Place, make_performer: MakePerformer, value: str) -> None:
    place.write(
        "parameters: {label: {type: path, under: /var, alert: labels.name}}\n"
        'steps: [{name: one, exec: [RECORD, "{{ label }}"]}]'
    )
    with pytest.raises(BadInput, match="label"):
        await run(place, make_performer, value)
    assert (await run(place, make_performer, "/var/log"))[0].status == "done"


@pytest.mark.parametrize("value", ["..", "a/b", "/etc/x", ".", "sub/../../x"])
async def test_a_copy_stays_in_its_folder(place: Place, make_performer: MakePerformer, value: str) -> None:
    (place.folder / "out").mkdir()
    place.write(
        "parameters: {label: {type: text, alert: labels.name}}\n"
        'steps: [{name: one, copy: {content: "{{ label }}", to: "FOLDER/out/{{ label }}"}}]'
    )
    assert (await run(place, make_performer, value))[0].status == "refused"
    assert not list((place.folder / "out").iterdir())
    assert (await run(place, make_performer, "$(touch pwned)"))[0].status == "done"
    assert (place.folder / "out" / "$(touch pwned)").read_text() == "$(touch pwned)"


async def test_a_copy_follows_no_link_out_of_its_folder(place: Place, make_performer: MakePerformer) -> None:
    (place.folder / "out").mkdir()
    (place.folder / "elsewhere").mkdir()
    (place.folder / "out" / "link").symlink_to(place.folder / "elsewhere")
    place.write(
        "parameters: {label: {type: text, alert: labels.name}}\n"
        'steps: [{name: one, copy: {content: x, to: "FOLDER/out/{{ label }}/file"}}]'
    )
    ended, _ = await run(place, make_performer, "link")
    assert ended.status == "failed" and "link" in ended.why
    assert not list((place.folder / "elsewhere").iterdir())


@pytest.mark.parametrize("value", CORPUS)
def test_a_value_does_not_end_the_quotes_of_a_query(value: str) -> None:
    query = rendered(parse_template('up{job="{{ label }}"}'), {"label": value})
    inner = query.removeprefix('up{job="').removesuffix('"}')
    assert '"' not in inner.replace("\\\\", "").replace('\\"', "") and "\n" not in inner
    assert (
        inner.replace("\\n", "\n").replace("\\r", "\r").replace('\\"', '"').replace("\\\\", "\\") == value
        or "\\" in value
    )


def test_a_template_is_put_in_once() -> None:
    values = {"a": "{{ b }}", "b": "secret"}
    assert parse_template("{{ a }}").render(values) == "{{ b }}"
    with pytest.raises(Refused):
        parse_template("{{ a }}").render({"a": ["list"]})
