"""What counts as one caller, where callers are counted."""

import ipaddress


def network_of(address: str) -> str:
    """What one caller holds: an IPv4 address, or an IPv6 /64 (a household gets that many)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
