from ipaddress import ip_network

import pytest

from shared.assistants.addresses import address_of, refusal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8.8.8.8", None),
        ("2606:4700::1111", None),
        ("127.0.0.1", "a loopback address"),
        ("127.255.0.3", "a loopback address"),
        ("::1", "a loopback address"),
        ("10.1.2.3", "a private or reserved address"),
        ("172.31.0.1", "a private or reserved address"),
        ("192.168.0.1", "a private or reserved address"),
        ("100.64.0.1", "a private or reserved address"),
        ("192.0.2.1", "a private or reserved address"),
        ("198.18.0.1", "a private or reserved address"),
        ("240.0.0.1", "a private or reserved address"),
        ("255.255.255.255", "a private or reserved address"),
        ("fc00::1", "a private or reserved address"),
        ("fec0::1", "a private or reserved address"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("0.0.0.0", "no address of a machine"),
        ("::", "no address of a machine"),
        ("::ffff:8.8.8.8", "an IPv6 address that stands for another one"),
        ("::ffff:127.0.0.1", "an IPv6 address that stands for another one"),
        ("64:ff9b::a9fe:a9fe", "an IPv6 address that stands for another one"),
        ("64:ff9b:1::1", "an IPv6 address that stands for another one"),
        ("2002:7f00:1::", "an IPv6 address that stands for another one"),
        ("2001:0:a9fe:a9fe::", "an IPv6 address that stands for another one"),
        ("::10.0.0.1", "an IPv6 address that stands for another one"),
        ("169.254.169.254", "an address of a cloud's metadata"),
        ("169.254.170.2", "an address of a cloud's metadata"),
        ("100.100.100.200", "an address of a cloud's metadata"),
        ("168.63.129.16", "an address of a cloud's metadata"),
        ("fd00:ec2::254", "an address of a cloud's metadata"),
    ],
)
def test_only_public_addresses_are_reached(text: str, said: str | None) -> None:
    address = address_of(text)
    assert address is not None
    assert refusal(address) == (said and f"is {said}")


@pytest.mark.parametrize(
    ("text", "network", "allowed"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3/32", True),
        ("10.1.2.3", "10.2.0.0/16", False),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("fd12::1", "fd00::/8", True),
        ("169.254.1.1", "169.254.0.0/16", True),
        ("169.254.169.254", "169.254.0.0/16", False),
        ("169.254.169.254", "169.254.169.254/32", True),
        ("100.100.100.200", "0.0.0.0/0", False),
        ("10.1.2.3", "::/0", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", False),
    ],
)
def test_networks_that_an_installation_allows(text: str, network: str, allowed: bool) -> None:
    address = address_of(text)
    assert address is not None
    assert (refusal(address, [ip_network(network)]) is None) is allowed


@pytest.mark.parametrize("host", ["bank.example", "", "127.1", "0x7f000001", "1.2.3.4.5"])
def test_a_name_is_no_address(host: str) -> None:
    assert address_of(host) is None
    assert address_of("[::1]") == address_of("::1")
