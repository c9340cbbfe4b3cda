"""Causes by their signs; how sure follows from the evidence."""

import pytest

from tasks.ops.ci.causes import HIGHEST, LOG_SHARE, causes_of, is_sign, may_tell, suggestion, text_of

SIGNS = [
    ("E       assert 2 == 3", "assertion"),
    ("ImportError: cannot import name 'old' from 'shop.cart'", "import_error"),
    ("ModuleNotFoundError: No module named 'shop.basket'", "import_error"),
    ("ModuleNotFoundError: No module named 'torch'", "missing_dependency"),
    ('  File "a.py", line 3\n    SyntaxError: invalid syntax', "syntax"),
    ("E       fixture 'clinet' not found", "fixture"),
    ("E   Failed: Timeout >5.0s", "timeout"),
    ("requests.exceptions.ReadTimeout: timed out after 30 s", "timeout"),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network"),
    ("OSError: [Errno 28] No space left on device", "disk_full"),
    ("Out of memory: Killed process 4711 (python)", "out_of_memory"),
    ("##[error]Process exited with code 137", "out_of_memory"),
    ("OSError: [Errno 98] Address already in use", "port_in_use"),
    ("PermissionError: [Errno 13] Permission denied: '/etc/shadow'", "permission"),
    ("##[error]The job running on runner 7 has exceeded the maximum execution time of 60 minutes.", "out_of_time"),
]


@pytest.mark.parametrize(("line", "cause"), SIGNS)
def test_a_sign_tells_its_cause(line: str, cause: str) -> None:
    found = causes_of([text_of("t", line)], {"shop"})
    assert found[0].cause == cause
    assert found[0].evidence[0].text in line
    assert all(is_sign(one.text) and may_tell(one.text) for one in found[0].evidence)


MORE = """\
error: expected ';' before
Unexpected token }
AttributeError: module 'a' has no attribute 'b'
java.lang.NoClassDefFoundError: com/shop/Cart
Cannot find module 'left-pad'
sh: 1: node: not found
error while loading shared libraries: libz.so
No matching distribution found for torch==9
ERROR at setup of test_a
failed on setup with "x"
"before each" beforeEach hook for "x"
org.junit.ComparisonFailure: x
Expected: 3 Received: 4
DID NOT RAISE <class 'ValueError'>
panicked at 'assertion failed'
context deadline exceeded
read ECONNRESET
Could not resolve host: a.b
Name or service not known
getaddrinfo ENOTFOUND a.b
Network is unreachable
502 Bad Gateway
503 Service Unavailable
429 Too Many Requests
net/http: TLS handshake timeout
SSL: CERTIFICATE_VERIFY_FAILED
write ENOSPC
Disk quota exceeded
database or disk is full
std::bad_alloc
JavaScript heap out of memory
OOMKilled
Cannot allocate memory
worker 'gw1' crashed
signal 9
EADDRINUSE: :::8080
port 8080 is already allocated
EACCES
Operation not permitted
execution expired
The operation was canceled.
job: execution took longer than 1h
terminated due to timeout
Build timed out"""


@pytest.mark.parametrize("line", MORE.splitlines())
def test_the_hints_pass_over_no_sign(line: str) -> None:
    assert is_sign(line)
    assert may_tell(line)


def test_nothing_known_is_no_cause() -> None:
    assert causes_of([text_of("t", "all is well")]) == ()


def test_confidence_grows_with_signs_and_shrinks_with_other_causes() -> None:
    (one,) = causes_of([text_of("t", "E   assert a")])
    assert one.confidence == pytest.approx(0.7)
    (two,) = causes_of([text_of("t", "E   assert a\nDID NOT RAISE")])
    assert two.confidence == pytest.approx(1 - 0.3 * 0.2)
    mixed = causes_of([text_of("t", "E   assert a\nConnection refused")])
    assert [one.cause for one in mixed] == ["network", "assertion"]
    assert mixed[0].confidence == pytest.approx(0.75**2 / (0.75 + 0.7), abs=0.001)
    assert max(one.confidence for one in (one, two, *mixed)) <= HIGHEST


def test_a_sign_counts_once_however_often_it_stands_there_and_less_in_a_log() -> None:
    (often,) = causes_of([text_of("t", "E   assert a\n" * 50)])
    assert often.confidence == pytest.approx(0.7)
    (logged,) = causes_of([text_of("log", "E   assert a", share=LOG_SHARE)])
    assert logged.confidence == pytest.approx(0.35)


def test_suggestions_name_what_the_sign_names() -> None:
    (found,) = causes_of([text_of("t", "ModuleNotFoundError: No module named 'torch'")])
    assert suggestion(found).startswith("install torch ")


def test_long_lines_are_searched_in_no_time() -> None:
    hostile = "('" * 100_000 + "ModuleNotFoundError: No module named '" + "a" * 100_000
    assert causes_of([text_of("t", hostile)]) == ()
