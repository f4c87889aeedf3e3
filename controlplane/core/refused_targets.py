"""Where a tenant's people may not send calls: the machine itself, and what hands out credentials to anybody.

Names are told by what they say, not by what they resolve to; the network has to see to the rest.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from controlplane.core.chain import ExternalValidator
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import ProviderSpec
from controlplane.errors import InvalidSettings, Problem

USUAL = (
    "127.0.0.0/8 ::1/128 0.0.0.0/8 ::/128 169.254.0.0/16 fe80::/10 fd00:ec2::254/128 100.100.100.200/32 "
    "localhost *.localhost metadata metadata.google.internal"
)
_EMBEDDED = ipaddress.ip_network("64:ff9b::/96")
_REMEDY = "name another host, or ask the platform's people to declare it"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class RefusedTargets:
    """Networks and host names; `*.` stands for everything below a name."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "RefusedTargets":
        """Networks and names with spaces between them. Raises InvalidSettings."""
        words = text.lower().split()
        networks = [word for word in words if "/" in word]
        names = [word for word in words if "/" not in word]
        try:
            return cls(tuple(map(ipaddress.ip_network, networks)), tuple(names))
        except ValueError as error:
            raise InvalidSettings(
                f"SLUICE_TENANT_TARGETS_REFUSED has a network that is none: {error}",
                remedy="write networks like 10.0.0.0/8 and names like *.internal, with spaces between them",
            ) from None

    def problems(self, spec: object) -> Iterator[Problem]:
        """What of a declaration would send calls to one of them."""
        for field, url in _targets(spec):
            if self._refuses(urlsplit(url).hostname or ""):
                yield Problem(field, "is an address that a tenant's people may not send calls to", _REMEDY)

    def _refuses(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return any(name == one or (one[:2] == "*." and name.endswith(one[1:])) for one in self.names)
        return any(each in network for each in _meant(address) for network in self.networks)


USUAL_TARGETS = RefusedTargets.of(USUAL)


def _meant(address: Address) -> Iterator[Address]:
    """The address, and the one that is written into it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
        elif address.sixtofour is not None:
            yield address.sixtofour
        elif address in _EMBEDDED:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _targets(spec: object) -> Iterator[tuple[str, str]]:
    if isinstance(spec, ProviderSpec) and spec.endpoint is not None:
        yield "endpoint", spec.endpoint
    if isinstance(spec, RuleSpec):
        yield "target", spec.target
        for index, plugin in enumerate(spec.plugins):
            if isinstance(plugin, ExternalValidator):
                yield f"plugins[{index}].settings.url", plugin.settings.url
