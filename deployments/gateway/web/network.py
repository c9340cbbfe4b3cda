"""Who a client is, by its address."""

import ipaddress


def network_of(host: str | None) -> str:
    """The address; of IPv6 the network, since one client has a whole /64."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "local"
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
