"""What an address on the web means, and whether it is public."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, EngineUnavailable, NotAllowed
from blocks.web_address import check_literal, is_public, resolved, web_address


@pytest.mark.parametrize(
    ("url", "place", "shown"),
    [
        ("https://Example.COM", "example.com:443", "https://example.com"),
        ("http://example.com:8080/a?token=x#y", "example.com:8080", "http://example.com:8080/a"),
        ("https://example.com.:443/", "example.com:443", "https://example.com/"),
        ("http://[2001:DB8:0::01]/", "[2001:db8::1]:80", "http://[2001:db8::1]/"),
        ("https://bücher.example/ü", "xn--bcher-kva.example:443", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://exаmple.com/", "xn--exmple-4nf.com:443", "https://xn--exmple-4nf.com/"),  # a Cyrillic a
    ],
)
def test_an_address_has_one_form(url: str, place: str, shown: str) -> None:
    address = web_address(url)
    assert (address.place, address.shown) == (place, shown)
    assert web_address(address.url) == address


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "//example.com",
        "https://",
        "https:///x",
        "https://a b.example/",
        "https://example.com\\@evil.example/",
        "https://example.com\n.evil.example/",
        "https://ex%61mple.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example１.com/",
        "http://[fe80::1%25eth0]/",
        "https://" + "a" * 5000,
    ],
)
def test_what_is_no_clear_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        web_address(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.0x1", "1.2.3.4.5"])
def test_ip_addresses_in_disguise_are_refused(host: str) -> None:
    with pytest.raises(BadInput):
        web_address(f"http://{host}/")


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        web_address("https://lan:pa55word@example.com/")
    assert "pa55word" not in caught.value.message
    with pytest.raises(BadInput) as caught:
        web_address("ftp://lan:pa55word@example.com/")
    assert "pa55word" not in caught.value.message


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"http://example.com{text}"):
        try:
            address = web_address(url)
        except BadInput:
            continue
        assert address.url.isascii() and address.host.isascii() and address.port
        assert web_address(address.url) == address


@pytest.mark.parametrize(
    "ip",
    [
        *["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"],
        *["224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1"],
        *["fe80::1%eth0", "fc00::1", "ff02::1", "fec0::1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1"],
        *["64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::1", "2001:db8::1", "100::1"],
    ],
)
def test_addresses_that_are_not_public(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize(
    "ip", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fc00::1", "64:ff9b::7f00:1"]
)
async def test_private_addresses_are_refused_unless_allowed(ip: str) -> None:
    address = web_address(f"http://[{ip}]/" if ":" in ip else f"http://{ip}/")
    with pytest.raises(NotAllowed, match="private"):
        check_literal(address, private=False)
    with pytest.raises(NotAllowed, match="private"):
        await resolved(address, private=False)
    check_literal(address, private=True)
    assert await resolved(address, private=True)


async def test_one_private_address_among_public_ones_is_enough(monkeypatch: Any) -> None:
    entries = [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(NotAllowed):
        await resolved(web_address("http://rebinding.example/"), private=False)


async def test_a_name_that_nobody_knows_is_told(monkeypatch: Any) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(EngineUnavailable, match=r"nowhere\.example"):
        await resolved(web_address("http://nowhere.example/"), private=False)


def test_redirections_are_joined_and_checked() -> None:
    address = web_address("https://example.com/a/b?x")
    assert address.joined("../c").url == "https://example.com/c"
    assert address.joined("//other.example/").place == "other.example:443"
    for location in ("file:///etc/passwd", "http://[", "https://lan:x@example.com/", "gopher://x/"):
        with pytest.raises(BadInput):
            address.joined(location)
