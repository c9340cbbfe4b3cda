"""Commands that rules name, and what commands may run."""

import pytest
from pydantic import ValidationError

from blocks.policy.command import Command
from blocks.policy.programs import TooMuch, commands_in, goes_beyond, known_programs, path_words, runs_programs


def surely(command: Command, *argv: str) -> bool:
    return command.is_surely(argv)


def test_allowed_command_is_the_program_by_its_name_or_its_path_in_the_system() -> None:
    ls = Command(programs=("ls",))
    assert surely(ls, "ls", "-la")
    assert surely(ls, "/usr/bin/ls")
    assert not surely(ls, "/tmp/ls")
    assert not surely(ls, "./ls")
    assert not surely(ls, "LS")
    assert surely(Command(programs=("/opt/x/ls",)), "/opt/x/ls")


def test_allowed_words_are_the_first_words() -> None:
    git = Command(programs=("git",), words=("log", "remote show"))
    assert surely(git, "git", "log", "--oneline", "-5")
    assert surely(git, "git", "remote", "show", "origin")
    assert not surely(git, "git", "remote", "remove", "log")
    assert not surely(git, "git")


def test_all_options_are_those_that_stay_within_what_the_line_says() -> None:
    for flags in ((), ("*",)):
        sort = Command.model_validate({"programs": ("sort",), **({"flags": flags} if flags else {})})
        assert surely(sort, "sort", "-rn", "-k2", "a")
        assert not surely(sort, "sort", "-ro", "a", "a")
    assert surely(Command(programs=("sort",), flags=("-r", "-o=")), "sort", "-ro", "a", "b")


def test_excepted_options_are_not_allowed_in_any_spelling() -> None:
    ls = Command(programs=("ls",), flags_except=("--recursive", "-R"))
    assert surely(ls, "ls", "-l")
    assert not surely(ls, "ls", "--recur")
    assert not surely(ls, "ls", "-lR")


def test_program_that_runs_others_is_allowed_only_where_the_rule_says_so() -> None:
    argv = ("pytest", "-q", "tests")
    assert not surely(Command(programs=("pytest",), flags=("-q",)), *argv)
    assert surely(Command(programs=("pytest",), flags=("-q",), runs_programs=True), *argv)
    assert not surely(Command(programs=("find",), flags=("-exec=",)), "find", "-exec", "x")


def test_forbidden_command_is_found_by_any_of_its_names() -> None:
    assert Command(programs=("awk",)).may_be(("mawk", "x"))
    assert Command(programs=("python*",)).may_be(("/opt/venv/bin/Python3.12",))
    assert not Command(programs=("python*",)).may_be(("pyt", "python"))


def test_forbidden_command_needs_all_that_is_said_of_it() -> None:
    push = Command(programs=("git",), words=("push",), flags=("--force", "-f"))
    assert push.may_be(("git", "push", "-uf", "origin"))
    assert push.may_be(("git", "-C", "x", "push", "--forc"))
    assert not push.may_be(("git", "push", "origin"))
    assert not push.may_be(("git", "fetch", "--force"))


@pytest.mark.parametrize(
    "argv",
    [
        ("kubectl", "delete", "namespace", "x"),
        ("kubectl", "delete", "-n", "web", "namespace", "x"),
        ("kubectl", "-n", "web", "delete", "--context", "prod", "--now", "namespace", "x"),
        ("kubectl", "delete", "-n", "namespace", "namespace"),
        ("kubectl", "delete", "--", "namespace"),
    ],
)
def test_values_of_options_between_words_hide_nothing(argv: tuple[str, ...]) -> None:
    assert Command(programs=("kubectl",), words=("delete namespace",)).may_be(argv)


def test_words_that_do_not_follow_each_other_are_not_meant() -> None:
    command = Command(programs=("kubectl",), words=("delete namespace",))
    assert not command.may_be(("kubectl", "delete", "pod", "namespace"))
    assert not command.may_be(("kubectl", "namespace", "delete"))
    assert not command.may_be(("kubectl", "delete", "--now=true", "pod", "namespace"))


def test_command_with_an_option_other_than_those_excepted_may_be_meant() -> None:
    other = Command(programs=("mytool",), flags_except=("-v", "--name="))
    assert not other.may_be(("mytool", "-v", "--name=x"))
    assert other.may_be(("mytool", "-vq"))


@pytest.mark.parametrize("bad", ["ｌｓ", "a b", "a/b", "../ls", "/opt/../ls", "/opt//ls", "/opt/l*", "", "-c", "ls;id"])
def test_bad_program_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        Command(programs=(bad,))


@pytest.mark.parametrize("bad", ["v", "--", "-", "---x", "-a b", "é", "-é", "/x"])
def test_bad_option_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        Command(programs=("ls",), flags=(bad,))


@pytest.mark.parametrize(
    ("argv", "inner"),
    [
        (("env", "A=1", "rm", "x"), ("rm", "x")),
        (("timeout", "5", "sh", "-c", "cd /; rm x"), ("rm", "x")),
        (("sh", "-c", "A=1 rm x"), ("rm", "x")),
        (("sh", "-c", "if true; then rm x; fi"), ("rm", "x")),
        (("sh", "-c", "(rm x)"), ("rm", "x")),
        (("sh", "-c", "ls|rm x"), ("rm", "x")),
        (("sh", "-c", "a && rm x || b"), ("rm", "x")),
        (("sh", "-c", "{ rm x; }"), ("rm", "x")),
        (("sh", "-c", 'eval "rm x"'), ("rm", "x")),
        (("find", ".", "-exec", "rm", "x", ";"), ("rm", "x", ";")),
        (("git", "-c", "alias.a=!rm x", "a"), ("rm", "x")),
        (("tar", "xf", "a", "--to-command=rm x"), ("rm", "x")),
        (("python3", "-c", "os.system('rm x')"), ("rm", "x")),
        (("ssh", "h", "rm x"), ("rm", "x")),
    ],
)
def test_commands_within_commands_are_found(argv: tuple[str, ...], inner: tuple[str, ...]) -> None:
    assert inner in commands_in(argv)


@pytest.mark.parametrize("argv", [("echo", "rm", "x"), ("grep", "-r", "rm x", "."), ("git", "commit", "-m", "a; rm x")])
def test_words_of_a_command_that_runs_nothing_are_words(argv: tuple[str, ...]) -> None:
    assert commands_in(argv) == [argv]


def test_words_of_a_builder_are_no_programs() -> None:
    assert ("mount",) not in commands_in(("make", "mount"))


@pytest.mark.parametrize("between", [" ", "\n"])
def test_command_that_may_run_too_much_is_refused(between: str) -> None:
    with pytest.raises(TooMuch):
        commands_in(("python3", "-c", between.join(map(str, range(3000)))))


@pytest.mark.parametrize(
    ("argv", "runs", "beyond"),
    [
        (("sed", "-n", "1,5p", "a"), False, False),
        (("sed", "-E", "s/a(b)/\\1/g", "a"), False, False),
        (("sed", "/a/,/b/d", "a"), False, False),
        (("sed", "-i", "s/a/b/", "a"), False, True),
        (("sed", "s/a/b/w x", "a"), True, False),
        (("sed", "s|a|b|e", "a"), True, False),
        (("sed", "r /etc/passwd", "a"), True, False),
        (("awk", "{print $1, $NF}", "a"), False, False),
        (("awk", "-F:", "/x/ {print $1}", "a"), False, False),
        (("awk", 'BEGIN{while(("id"|getline x)>0)print x}'), True, False),
        (("find", ".", "-type", "f", "-name", "*.py"), False, False),
        (("find", "-L", ".", "-ls"), False, True),
        (("tar", "tf", "a"), False, False),
        (("tar", "cTf", "list", "a"), False, True),
        (("git", "log", "--oneline"), False, False),
        (("git", "show", "--textconv"), True, False),
        (("mytool", "--exec", "x"), False, False),
        (("uniq",), False, False),
    ],
)
def test_what_commands_run_and_reach_is_known(argv: tuple[str, ...], runs: bool, beyond: bool) -> None:
    assert (runs_programs(argv), goes_beyond(argv)) == (runs, beyond)


@pytest.mark.parametrize(
    ("argv", "paths"),
    [
        (("grep", "-n", "a/b", "x"), ("-n", "x")),
        (("grep", "-e", "a", "x"), ("-e", "a", "x")),
        (("grep", "-nfa", "x"), ("-nfa", "x")),
        (("grep", "--reg=a", "x"), ("--reg=a", "x")),
        (("grep", "-n", "--", "-x", "y"), ("-n", "--", "y")),
        (("sed", "s/a/b/", "x"), ("x",)),
        (("sed", "-f", "a", "x"), ("-f", "a", "x")),
        (("cat", "a", "x"), ("a", "x")),
        (("grep",), ()),
    ],
)
def test_patterns_and_scripts_are_no_paths(argv: tuple[str, ...], paths: tuple[str, ...]) -> None:
    assert path_words(argv) == paths


def test_no_program_is_known_in_two_ways() -> None:
    known = known_programs()
    always = {name for names in (*known.wraps, *known.shells, *known.code) for name in names}
    by_options = {name for main, program in known.options.items() for name in (main, *program.also)}
    assert not always & by_options
    assert sum(len((main, *one.also)) for main, one in known.options.items()) == len(by_options)
