"""Whose address counts, when proxies stand between."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.client_address import client_address, neighbourhood

LOOPBACK = ip_network("127.0.0.0/8")
CLUSTER = ip_network("10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["rubbish"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7, rubbish"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("::ffff:127.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("127.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", ["203.0.113.7:x"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.007"], "127.0.0.1"),
        (None, ["203.0.113.7"], "unknown"),
        ("a unix socket", [], "unknown"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str | None, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, [LOOPBACK, CLUSTER]) == address


@given(peer=st.ip_addresses(), forwarded=st.lists(st.text()))
def test_without_trusted_proxies_no_header_changes_anything(peer: object, forwarded: list[str]) -> None:
    assert client_address(str(peer), forwarded, []) == client_address(str(peer), [], [])


@given(forwarded=st.lists(st.text() | st.ip_addresses().map(str)))
def test_a_client_cannot_choose_its_address_behind_a_proxy(forwarded: list[str]) -> None:
    seen = client_address("127.0.0.1", [*forwarded, "203.0.113.7"], [LOOPBACK])
    assert seen == "203.0.113.7"


def test_an_ipv6_network_counts_as_one_party() -> None:
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert neighbourhood("203.0.113.7") == "203.0.113.7"
    assert neighbourhood("unknown") == "unknown"
