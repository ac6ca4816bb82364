"""Which addresses a connector may reach: public ones, and those that an installation allows it.

An assistant is written by a company, and its connectors are called from within the installation, where more can be
reached than the company may: other services, the cloud's metadata with its keys, the machine itself.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["Network", "address_of", "refusal"]

Network = IPv4Network | IPv6Network

METADATA = frozenset(
    ip_address(each)
    for each in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack, DigitalOcean, Huawei, Tencent
        "169.254.170.2",  # AWS, the keys of a container
        "169.254.170.23",  # AWS, the keys of a pod
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
"""Where clouds hand out their machines' keys."""

CARRYING_IPV4 = tuple(
    IPv6Network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::ffff:0:0/96", "::/96")
)
"""Networks of IPv6 behind whose addresses stands one of IPv4, which may be any."""


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as; `None` for a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def refusal(address: IPv4Address | IPv6Address, networks: Iterable[Network] = ()) -> str | None:
    """Why an address is not to be reached, in a few words; `None` when it may be.

    Args:
        networks: those that are allowed; an address of a cloud's metadata only by itself, not as one of many.
    """
    allowed = [each for each in networks if each.version == address.version and address in each]
    if address in METADATA:
        return None if any(each.num_addresses == 1 for each in allowed) else "is an address of a cloud's metadata"
    if allowed:
        return None
    for is_one, what in (
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address.is_unspecified, "no address of a machine"),
        (any(address in each for each in CARRYING_IPV4), "an IPv6 address that stands for another one"),
        (isinstance(address, IPv6Address) and address.is_site_local, "a private or reserved address"),
        (not address.is_global or address.is_reserved, "a private or reserved address"),
    ):
        if is_one:
            return f"is {what}"
    return None
