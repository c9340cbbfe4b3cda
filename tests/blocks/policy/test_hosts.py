"""Hosts that rules name: what they may be, and what they surely are."""

import pytest

from blocks.policy.hosts import host_of, host_pattern, hosts_in


@pytest.mark.parametrize(
    ("pattern", "place", "surely", "may"),
    [
        ("example.com", "example.com:443", True, True),
        ("example.com", "example.com:80", True, True),
        ("example.com", "example.com:8443", False, True),
        ("example.com", "example.com", False, True),
        ("example.com:443", "example.com:0", False, True),
        ("example.com:8443", "example.com:8443", True, True),
        ("example.com:8443", "example.com:443", False, False),
        ("example.com:*", "example.com:1", True, True),
        ("Example.COM", "example.com:443", True, True),
        ("example.com", "example.com.:443", True, True),
        ("example.com", "www.example.com:443", False, False),
        ("*.example.com", "www.example.com:443", True, True),
        ("*.example.com", "a.b.example.com:443", True, True),
        ("*.example.com", "example.com:443", False, False),
        ("*.example.com", "evilexample.com:443", False, False),
        ("*", "example.com:443", True, True),
        ("*", "1.2.3.4:443", False, True),
        ("*:*", "example.com:22", True, True),
        ("1.2.3.4", "1.2.3.4:443", True, True),
        ("1.2.3.0/24:*", "1.2.3.4:1", True, True),
        ("1.2.3.0/24", "1.2.4.4:443", False, False),
        ("1.2.3.4", "[::ffff:1.2.3.4]:443", False, True),
        ("1.2.3.4", "[64:ff9b::102:304]:443", False, True),
        ("::1", "[::1]:443", True, True),
        ("[::1]:5", "[0:0::1]:5", True, True),
        ("fd00::/8", "[fd00::1]:443", True, True),
        ("bücher.example", "xn--bcher-kva.example:443", True, True),
    ],
)
def test_pattern_names_hosts(pattern: str, place: str, surely: bool, may: bool) -> None:
    named, host = host_pattern(pattern), host_of(place)
    assert (named.is_surely(host), named.may_be(host)) == (surely, may)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "https://example.com",
        "example.com/path",
        "user@example.com",
        "*example.com",
        "a.*.com",
        "example.com:0",
        "example.com:99999",
        "example.com:x",
        "[::1",
        "[::1]x",
        "1.2.3.0/99",
        "1.2.3.4/24",
        "a b",
        "*.",
        "::1::",
    ],
)
def test_bad_pattern_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_pattern(bad)


@pytest.mark.parametrize(
    "bad",
    ["", "a b:1", "ｅxample.com:1", "example..com:1", ".com:1", "1.2.3:80", "0x1.2.3.4:1", "a:b", "a:65536", "[::1"],
)
def test_place_in_no_plain_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_of(bad)


@pytest.mark.parametrize(
    ("place", "private"),
    [
        ("example.com:1", False),
        ("8.8.8.8:1", False),
        ("[2606:4700::1]:1", False),
        ("localhost:1", True),
        ("db:1", True),
        ("x.local:1", True),
        ("x.svc:1", True),
        ("10.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("169.254.1.1:1", True),
        ("224.0.0.1:1", True),
        ("255.255.255.255:1", True),
        ("[::]:1", True),
        ("[fe80::1]:1", True),
        ("[::ffff:10.0.0.1]:1", True),
        ("[::7f00:1]:1", True),
    ],
)
def test_private_hosts_are_known(place: str, private: bool) -> None:
    assert host_of(place).is_private is private


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("http://169.254.169.254/x", "169.254.169.254"),
        ("--url=HTTP://u:p@169.254.169.254:80/x", "169.254.169.254"),
        ("root@169.254.169.254", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("http://[::1]:80/", "::1"),
        ("metadata.google.internal", "metadata.google.internal"),
        ("evil.com/path", "evil.com"),
        ("evil.com:path", "evil.com"),
        ("evil.com::module", "evil.com"),
        ("git@evil.com:repo.git", "evil.com"),
        ("--proxy=evil.com:3128", "evil.com"),
        ("-xevil.com:3128", "evil.com"),
        ("example.com:443:evil.com:80", "evil.com"),
        ("169.254.169.254/latest", "169.254.169.254"),
        ("2852039166/latest", "169.254.169.254"),
        ("[::1]/x", "::1"),
    ],
)
def test_hosts_are_found_in_the_words_of_commands(word: str, name: str) -> None:
    assert name in {host.name for host in hosts_in(word)}


@pytest.mark.parametrize("word", ["metadata/a.txt", "docs/metadata.txt", "name=metadata", "./x", "/etc/hosts"])
def test_parts_without_a_dot_are_no_hosts(word: str) -> None:
    assert "metadata" not in {host.name for host in hosts_in(word)}
