"""Which addresses the portal may talk to: public ones over https, and what OUTGOING_ALLOW adds."""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from .http_errors import AddressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_ENTRY = re.compile(r"(?P<host>\[[^]]+\]|[^:]+)(?::(?P<port>[0-9]{1,5}))?")
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV6_UNICAST = IPv6Network("2000::/3")


@dataclass(frozen=True)
class Origin:
    """Where calls go. A host that is an address in any spelling is kept in the usual one."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The host when it is an address and no name."""
        return _address_or_none(self.host)


@dataclass(frozen=True)
class Allowance:
    """OUTGOING_ALLOW, read: names and networks, each for one port or (None) for all."""

    names: frozenset[tuple[str, int | None]]
    networks: tuple[tuple[Network, int | None], ...]

    def names_host(self, origin: Origin) -> bool:
        return not self.names.isdisjoint({(origin.host, None), (origin.host, origin.port)})

    def covers(self, address: Address, port: int) -> bool:
        return any(address in network and only in (None, port) for network, only in self.networks)


def check_url(url: str) -> None:
    """Raises AddressRefused for a base URL that can be seen to be wrong without asking DNS."""
    origin = parse_origin(url)
    check_scheme(origin)
    literal = IPv4Address("127.0.0.1") if _is_localhost(origin.host) else origin.address
    if literal is not None:
        check_addresses(origin, [str(literal)])


def parse_origin(url: str) -> Origin:
    """Reads a base URL (scheme, host, port and path, nothing else) or raises AddressRefused."""
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise AddressRefused(_("The address must begin with https:// or http://."))
    if "@" in parts.netloc:
        raise AddressRefused(
            _("The address holds a user name or password. Put credentials into their own fields.")
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise AddressRefused(_("The address must end before any “?” or “#”."))
    return Origin(
        scheme=parts.scheme,
        host=_host(parts),
        port=_port(parts),
        path=parts.path.rstrip("/"),
    )


def check_scheme(origin: Origin) -> None:
    """Refuses plain http where no entry of OUTGOING_ALLOW could make it right."""
    allowed = allowance()
    if origin.scheme == "https" or allowed.names_host(origin) or allowed.networks:
        return
    raise AddressRefused(_plain_http(origin))


def check_addresses(origin: Origin, addresses: Iterable[str]) -> None:
    """Refuses the whole origin when one of the addresses that its name has is not allowed."""
    for address in addresses:
        _check_address(origin, _unwrapped(ip_address(address)))


def allowance() -> Allowance:
    """What settings.OUTGOING_ALLOW says now; ImproperlyConfigured names an entry it cannot read."""
    return parse_allowance(tuple(getattr(settings, "OUTGOING_ALLOW", ())))


@lru_cache(maxsize=64)
def parse_allowance(entries: tuple[str, ...]) -> Allowance:
    names: set[tuple[str, int | None]] = set()
    networks: list[tuple[Network, int | None]] = []
    for entry in entries:
        host, port = _entry(entry)
        try:
            networks.append((ip_network(host, strict=False), port))
        except ValueError:
            names.add((_entry_name(host, entry), port))
    return Allowance(names=frozenset(names), networks=tuple(networks))


def _entry(entry: str) -> tuple[str, int | None]:
    plain = entry.strip().lower()
    if plain.count(":") > 1 and not plain.startswith("["):
        return plain, None
    match = _ENTRY.fullmatch(plain)
    if match is None:
        raise _unreadable(entry)
    port = match["port"]
    return match["host"].strip("[]"), int(port) if port else None


def _entry_name(host: str, entry: str) -> str:
    name = host.removesuffix(".")
    if not _NAME.fullmatch(name) or _NUMERIC_END.fullmatch(name):
        raise _unreadable(entry)
    return name


def _unreadable(entry: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"OUTGOING_ALLOW has the entry {entry!r}. "
        "Write a host, a host with a port, or a network such as 10.0.0.0/8."
    )


def _check_address(origin: Origin, address: Address) -> None:
    allowed = allowance()
    if allowed.covers(address, origin.port):
        return
    # A name is vouched for, but not for leading to a cloud's metadata service.
    if allowed.names_host(origin) and not _is_nobody_s(address):
        return
    if not _is_public(address):
        raise AddressRefused(
            _(
                "%(host)s leads to %(address)s, which is not a public address. "
                "Whoever runs the portal can allow it in OUTGOING_ALLOW."
            )
            % {"host": origin.host, "address": address}
        )
    if origin.scheme != "https":
        raise AddressRefused(_plain_http(origin))


def _plain_http(origin: Origin) -> str:
    return _(
        "%(host)s would be called over plain http, where anybody on the way can read the token. "
        "Use https, or let whoever runs the portal allow it in OUTGOING_ALLOW."
    ) % {"host": origin.host}


def _is_nobody_s(address: Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _IPV6_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, so that no spelling gets around the check."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _split(url: str) -> SplitResult:
    # urlsplit drops tabs and newlines without a word, and browsers read "\" as "/".
    if not _PLAIN.fullmatch(url) or "\\" in url:
        raise AddressRefused(
            _(
                "The address has characters that do not belong there. "
                "Write names outside ASCII in their xn-- form."
            )
        )
    try:
        return urlsplit(url)
    except ValueError:
        raise AddressRefused(_("The address cannot be read.")) from None


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise AddressRefused(_("The port must be a number from 1 to 65535."))
    return port or DEFAULT_PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    literal = _address_or_none(host)
    if literal is not None and "%" not in host:
        return str(literal)
    if _NUMERIC_END.fullmatch(host):
        return _dotted(host)
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise AddressRefused(_("The address has no host name that can be read."))
    return host


def _dotted(host: str) -> str:
    """127.1, 0x7f000001 and 2130706433 are what inet_aton says: the resolver reads them so too."""
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        raise AddressRefused(_("The address has no host name that can be read.")) from None


def _address_or_none(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
