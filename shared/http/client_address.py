"""Where a request comes from: the network address that limits and the audit log go by.

The edge decides. Dialogue, which the Internet reaches, works out one address and names it to login together with a
token of its own; login believes no other word about it.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = [
    "CLIENT_ADDRESS_HEADER",
    "GATEWAY_SCOPE",
    "GATEWAY_TOKEN_HEADER",
    "UNKNOWN",
    "Network",
    "client_address",
    "neighbourhood",
]

CLIENT_ADDRESS_HEADER = "X-Client-Address"
"""The client's address as the gateway saw it."""
GATEWAY_TOKEN_HEADER = "X-Gateway-Token"
"""The gateway's own access token; `Authorization` has the person's."""
GATEWAY_SCOPE = "login:gateway"

UNKNOWN = "unknown"

WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>\d+\.\d+\.\d+\.\d+):\d+")
"""Some proxies write the client's port behind its address."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The address of the client: the peer, or what trusted proxies say about who spoke to them.

    Every proxy appends the address that it saw, so the list is read from its end for as long as the speaker is
    trusted; what stands before the first stranger may be invented.

    Args:
        forwarded: the values of the X-Forwarded-For headers, in their order.
    """
    speaker = _parse(peer or "")
    if speaker is None:
        return UNKNOWN
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and any(speaker in network for network in proxies):
        said = _parse(hops.pop())
        if said is None:
            break
        speaker = said
    return str(speaker)


def neighbourhood(address: str) -> str:
    """What one party surely has: an IPv4 address, or the /64 network of which IPv6 gives everybody all addresses."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address


def _parse(text: str) -> Address | None:
    ported = WITH_PORT.fullmatch(text)
    # Behind a percent sign stands an interface of whoever wrote it, which names nobody.
    plain = (ported["v6"] or ported["v4"] if ported else text).partition("%")[0]
    try:
        address = ip_address(plain)
    except ValueError:
        return None
    # One client, one name: an IPv4 address that came in through an IPv6 socket is the IPv4 address.
    return getattr(address, "ipv4_mapped", None) or address
