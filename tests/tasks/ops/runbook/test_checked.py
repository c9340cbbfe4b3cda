"""A runbook is checked wholly before its first step: every fault, with its line."""

import pytest

from blocks.errors import BadInput, NotFound
from blocks.hosts.inventory import ONLY_HERE
from tasks.ops.runbook.checked import ready
from tests.tasks.ops.runbook.conftest import Place

STEPS = "steps:\n"
RUN = "  - {name: a, exec: [df, /], parse: [{set: used, type: int, line: -1, column: 4}]}\n"


def problems(place: Place, text: str, name: str = "book") -> list[str]:
    path = place.write(text, name)
    with pytest.raises(BadInput) as caught:
        ready(path, ONLY_HERE)
    return [problem.removeprefix(f"{place.folder}/") for problem in caught.value.details["problems"]]


FAULTS = {
    # form
    "unknown-field": ("  - {name: a, exec: [ls], hots: x}\n", 4, "did you mean host"),
    "no-kind": ("  - {name: a, says: x}\n", 4, "has none of exec"),
    "two-kinds": ("  - {name: a, exec: [ls], approve: x}\n", 4, "is both exec and approve"),
    "no-list": ("  - {name: a, exec: ls -l}\n", 4, "list"),
    "bad-type": ("  - {name: a, exec: [ls], timeout_s: soon}\n", 4, "a number"),
    "same-name": (
        "  - {name: a, exec: [ls]}\n  - {name: a, exec: [ls]}\n",
        5,
        "another step is called so (see line 4)",
    ),
    # names and types
    "unknown-variable": ('  - {name: a, exec: [ls, "{{ nope }}"]}\n', 4, "no variable nope"),
    "later-variable": ('  - {name: z, exec: [ls, "{{ used }}"]}\n' + RUN, 4, "no variable used"),
    "not-on-both-ways": (
        RUN + "  - name: i\n    if: used > 1\n    then: [{name: b, exec: [ls], parse: [{set: x, line: 0}]}]\n"
        '  - {name: c, exec: [ls, "{{ x }}"]}\n',
        8,
        "no variable x",
    ),
    "lost-by-continue": (
        "  - {name: a, exec: [ls], parse: [{set: x, line: 0}], on_failure: continue}\n"
        '  - {name: c, exec: [ls, "{{ x }}"]}\n',
        5,
        "no variable x",
    ),
    "broken-template": ('  - {name: a, exec: [ls, "{{ nope"]}\n', 4, "{{ belongs before"),
    "jinja": ('  - {name: a, exec: [ls, "{% if x %}"]}\n', 4, "only {{ name }} is understood"),
    "expression": (RUN + "  - {name: i, if: used >, then: [{name: b, exec: [ls]}]}\n", 5, "no CEL expression"),
    "expression-name": (RUN + "  - {name: i, if: usd > 1, then: [{name: b, exec: [ls]}]}\n", 5, "no variable usd"),
    "expression-type": (
        RUN + "  - {name: i, if: used == 'x', then: [{name: b, exec: [ls]}]}\n",
        5,
        "compares int with text",
    ),
    "expression-no-condition": (RUN + "  - {name: i, if: used + 1, then: [{name: b, exec: [ls]}]}\n", 5, "gives int"),
    "expression-constant": ("  - {name: i, if: 1 > 2, then: [{name: b, exec: [ls]}]}\n", 4, "never taken"),
    "expression-template": (
        RUN + "  - {name: i, if: '{{ used }} > 2', then: [{name: b, exec: [ls]}]}\n",
        5,
        "without {{ }}",
    ),
    "expression-function": (
        RUN + "  - {name: i, if: open(used), then: [{name: b, exec: [ls]}]}\n",
        5,
        "no function open",
    ),
    "parallel-same": (
        "  - name: p\n    parallel:\n      - [{name: a, exec: [ls], parse: [{set: x, line: 0}]}]\n"
        "      - [{name: b, exec: [ls], parse: [{set: x, line: 0}]}]\n",
        7,
        "set by another branch",
    ),
    "parallel-reads": (
        "  - name: p\n    parallel:\n      - [{name: a, exec: [ls], parse: [{set: x, line: 0}]}]\n"
        '      - [{name: b, exec: [ls, "{{ x }}"]}]\n',
        7,
        "no variable x",
    ),
    # parsing that leads nowhere
    "no-such-group": ("  - {name: a, exec: [ls], parse: [{set: x, regex: 'a(b)', group: 2}]}\n", 4, "no such group"),
    "bad-regex": ("  - {name: a, exec: [ls], parse: [{set: x, regex: 'a(b'}]}\n", 4, "no regular expression"),
    "backreference": ("  - {name: a, exec: [ls], parse: [{set: x, regex: '(a)\\1'}]}\n", 4, "no regular expression"),
    "json-and-line": ("  - {name: a, exec: [ls], parse: [{set: x, json: a.b, line: 1}]}\n", 4, "stand alone"),
    "lines-no-list": ("  - {name: a, exec: [ls], parse: [{set: x, lines: true}]}\n", 4, "lines give a list"),
    "always-zero": ("  - {name: a, exec: [ls], parse: [{set: x, type: int, from: exit_code}]}\n", 4, "can only be 0"),
    "bad-default": (
        "  - {name: a, exec: [ls], parse: [{set: x, type: int, line: 0, default: many}]}\n",
        4,
        "whole number",
    ),
    # code
    "data-as-program": (RUN + '  - {name: b, exec: ["{{ used }}", x]}\n', 5, "the program is named in the runbook"),
    "data-as-script": (RUN + '  - {name: b, exec: [sh, -c, "echo {{ used }}"]}\n', 5, "sh may read it as code"),
    "data-as-python": (RUN + '  - {name: b, exec: [python3, -c, "print({{ used }})"]}\n', 5, "may read it as code"),
    "data-to-shell": (RUN + '  - {name: b, exec: [bash], stdin: "echo {{ used }}"}\n', 5, "may read it as code"),
    "data-behind-env": (RUN + '  - {name: b, exec: [env, "A={{ used }}", ls]}\n', 5, "env runs what its words say"),
    "data-behind-ssh": (RUN + '  - {name: b, exec: [ssh, web, ls, "{{ used }}"]}\n', 5, "a host of the inventory"),
    "data-behind-sudo": (RUN + '  - {name: b, exec: [sudo, ls, "{{ used }}"]}\n', 5, "become: true"),
    "data-in-container": (RUN + '  - {name: b, exec: [kubectl, exec, web, --, ls, "{{ used }}"]}\n', 5, "kubectl exec"),
    "data-as-verb": (
        RUN + '  - {name: b, exec: [systemctl, "{{ used }}", web]}\n',
        5,
        "what systemctl does is written",
    ),
    "data-in-awk": (RUN + '  - {name: b, exec: [awk, "{print {{ used }}}"]}\n', 5, "awk"),
    "data-to-find-exec": (RUN + '  - {name: b, exec: [find, "{{ used }}", -exec, rm, "{}", ;]}\n', 5, "find runs what"),
    # what fails
    "retry-of-an-effect": ("  - {name: a, exec: [ls], on_failure: {retry: 2}}\n", 4, "repeatable"),
    "no-such-compensation": ("  - {name: a, exec: [ls], on_failure: {goto: mend}}\n", 4, "no mend under"),
    "unused-compensation": (
        "  - {name: a, exec: [ls]}\ncompensation:\n  mend: [{name: b, exec: [ls]}]\n",
        6,
        "no step leads",
    ),
    "approval-ignored": ("  - {name: a, approve: x, on_failure: continue}\n", 4, "it does not go on"),
    "wait-for-nothing": (
        RUN + "  - {name: w, wait_until: used > 1, command: [ls], parse: [{set: y, line: 0}]}\n",
        5,
        "never change",
    ),
    # places
    "no-host": ("  - {name: a, exec: [ls], host: web-1}\n", 4, "no host web-1"),
    "no-file": ("  - {name: a, copy: {file: x.conf, to: /etc/x}}\n", 4, "no file x.conf"),
    "file-outside": ("  - {name: a, copy: {file: ../x.conf, to: /etc/x}}\n", 4, "beside the runbook"),
    "no-folder": (RUN + '  - {name: b, copy: {content: x, to: "/{{ used }}"}}\n', 5, "could lead anywhere"),
    "no-folder-at-all": (RUN + '  - {name: b, copy: {content: x, to: "{{ used }}"}}\n', 5, "as /srv/{{ used }}"),
    "query": (RUN + '  - {name: w, wait_until: value > 1.0, metric: "up{a={{ used }}}"}\n', 5, "within double quotes"),
    # other runbooks
    "no-runbook": ("  - {name: a, runbook: other}\n", 4, "no runbook other"),
    "calls-itself": ("  - {name: a, runbook: book}\n", 4, "calls itself: book → book"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_line(place: Place, name: str) -> None:
    text, line, told = FAULTS[name]
    found = problems(place, STEPS + text)
    assert any(one.startswith(f"book.yaml:{line}: ") and told in one for one in found), found


def test_all_faults_are_told_at_once(place: Place) -> None:
    text = STEPS + '  - {name: a, exec: [ls, "{{ x }}"]}\n  - {name: b, exec: [ls, "{{ y }}"], host: web-1}\n'
    assert [one.split(": ")[0] for one in problems(place, text)] == ["book.yaml:4", "book.yaml:5", "book.yaml:5"]


def test_cycles_and_depth_are_found_over_files(place: Place) -> None:
    place.write("steps: [{name: x, runbook: book}]", "other")
    assert "calls itself: book → other → book" in problems(place, "steps: [{name: x, runbook: other}]")[0]
    for number in range(6):
        place.write(f"steps: [{{name: x, runbook: deep-{number + 1}}}]", f"deep-{number}")
    place.write("steps: [{name: x, exec: [ls]}]", "deep-6")
    path = place.folder / "deep-0.yaml"
    with pytest.raises(BadInput, match="at most 5 deep"):
        ready(path, ONLY_HERE)


def test_what_a_runbook_is_told_by_another_is_checked(place: Place) -> None:
    place.write("parameters: {count: {type: int}, name: {}}\nsteps: [{name: x, exec: [ls]}]", "other")
    text = "steps:\n  - {name: a, runbook: other, with: {count: many, nmae: x}}\n"
    told = "\n".join(problems(place, text))
    assert "with.count: it is no whole number" in told
    assert "has no parameter nmae" in told
    assert "needs its parameter name" in told


def test_a_file_that_is_no_yaml_or_not_there(place: Place) -> None:
    assert problems(place, "steps: [") == [
        "book.yaml:3: it is no YAML: expected the node content, but found '<stream end>'"
    ]
    with pytest.raises(NotFound):
        ready(place.folder / "nope.yaml", ONLY_HERE)


def test_data_may_stand_behind_a_script_and_as_a_name(place: Place) -> None:
    path = place.write(
        STEPS + RUN + '  - {name: b, exec: [sh, -ec, "echo $1", sh, "{{ used }}"]}\n'
        '  - {name: c, exec: [python3, /opt/x.py, "{{ used }}"]}\n'
        '  - {name: d, exec: [systemctl, restart, "{{ used }}"]}\n'
        '  - {name: e, exec: [kubectl, exec, "{{ used }}", --, cat, /proc/meminfo]}\n'
        "  - {name: f, exec: [docker, ps, --format, '{{ \"{{.Names}}\" }}']}\n"
        "  - {name: g, wait_until: value > 1, metric: 'up{a=\"{{ used }}\"}'}\n"
    )
    assert ready(path, ONLY_HERE).name == "book"
