"""Client addresses: who the peer is, whom to believe, and what counts as one client.

No Django in it. Nothing here raises on what a client sent: what is malformed is not believed.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"

_IPV6_CLIENT_PREFIX = 64  # the smallest network that one subscriber gets (RFC 6177)


def parse_networks(cidrs: Sequence[str]) -> tuple[Network, ...]:
    """Networks of these CIDRs (or single addresses). Raises ValueError naming a malformed one."""
    return tuple(ip_network(cidr.strip()) for cidr in cidrs if cidr.strip())


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """The address, an IPv4-mapped IPv6 one as its IPv4, or None where it is none.

    Takes what proxies write: `[v6]`, `[v6]:port`, `v4:port`. Zone ids are not believed.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks; an unknown address lies in none."""
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=4096)
def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """The address of the client, as text; `unknown` where the peer has none (a Unix socket).

    X-Forwarded-For is believed only from a trusted peer, read from the right to the first hop
    that is not trusted. A malformed hop ends the reading: the last good one is the client.
    """
    current = parse_address(peer)
    if not is_within(current, trusted):
        return str(current) if current is not None else UNKNOWN
    for hop in reversed(forwarded_for.split(",")):
        address = parse_address(hop)
        if address is None:
            break
        current = address
        if not is_within(current, trusted):
            break
    return str(current)


def counting_identity(address: str) -> str:
    """What shares one limit: an IPv4 address alone, an IPv6 address with its /64."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _IPV6_CLIENT_PREFIX), strict=False))
    return str(parsed) if parsed is not None else UNKNOWN
