"""Only what is plainly a host becomes an address: nothing that ssh or a shell could read as something else."""

from __future__ import annotations

import shlex
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.deploying.address import Address, parse

SAFE = set(string.ascii_letters + string.digits + "._-")
PIECES = [
    "ssh://", "pi", "@", "host", ":", "22", "-oProxyCommand=x", "[::1]", "/", " ", "\n", "'", '"', "$(id)", "`id`", ";",
    "&", "|", "\\", "\x00", "é", "-", ".", "_", "#", "?", "%",
]  # fmt: skip
NEARLY = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://pi@raspberrypi.local", Address("raspberrypi.local", "pi")),
        ("ssh://host", Address("host")),
        ("ssh://host/", Address("host")),
        ("ssh://10.0.0.7:2222", Address("10.0.0.7", port=2222)),
        ("ssh://me@[fe80::1]:22", Address("fe80::1", "me", 22)),
        ("ssh://my_alias-1", Address("my_alias-1")),
    ],
)  # fmt: skip
def test_addresses(text: str, expected: Address) -> None:
    assert parse(text) == expected


@given(st.one_of(st.text(), NEARLY, NEARLY.map("ssh://".__add__), st.text().map("ssh://".__add__)))
@example("ssh://-oProxyCommand=id")
@example("ssh://-l@host")
@example("ssh://host\n")
@example("ssh://ho\tst")
def test_whatever_parses_needs_no_quoting_and_is_no_option(text: str) -> None:
    try:
        address = parse(text)
    except UserError:
        return
    for part in (address.host, address.user):
        assert not part.startswith("-")
    assert set(address.user) <= SAFE
    assert set(address.host) <= SAFE or set(address.host) <= set(string.hexdigits + ":.")
    assert address.host
    assert all(shlex.quote(word) == word for word in address.words())
    assert parse(f"ssh://{address}") == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ssh://", "the host is missing"),
        ("ssh://pi@", "the host is missing"),
        ("ssh://:22", "the host is missing"),
        ("ssh://host:0", "a port from 1 to 65535"),
        ("ssh://host:65536", "a port from 1 to 65535"),
        ("ssh://host:2x", "not an address"),
        ("ssh://host/models", "more than a host"),
        ("ssh://host?x=1", "more than a host"),
        ("ssh://-v", "not an address"),
        ("ssh://a b", "not an address"),
        ("ssh://pi;id@host", "not an address"),
        ("ssh://[::g]", "not an address"),
        ("ssh://[1:2]", "not an IPv6 address"),
        ("ssh:host", "the host is missing"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_said(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        parse(text)
    assert "ssh://[user@]host[:port]" in error.value.hint


@pytest.mark.parametrize(
    "text", ["ssh://pi:geheim@host", "ssh:pi:geheim@host", "ssh:/pi:geheim@host", "SSH:pi:geheim@", "pi:geheim@host"]
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UserError, match="holds a password") as error:
        parse(text)
    assert "geheim" not in str(error.value) + error.value.hint
