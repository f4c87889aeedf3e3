"""Which addresses may call, where several lists have a say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """Either those that may call, or those that may not; with neither everybody may."""

    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()

    @property
    def nobody(self) -> bool:
        return self.allowed == ()


def networks(allow: Sequence[Iterable[str]], deny: Iterable[str]) -> Networks:
    """What is in every list of `allow`, where there is one, and not in `deny`."""
    denied = [ip_network(item) for item in deny]
    if not allow:
        return Networks(None, _texts(denied))
    left = [ip_network(item) for item in allow[0]]
    for others in allow[1:]:
        wanted = [ip_network(item) for item in others]
        left = [narrow for one in left for other in wanted if (narrow := _common(one, other)) is not None]
    for item in denied:
        left = [rest for one in left for rest in _without(one, item)]
    return Networks(_texts(left))


def _common(one: Network, other: Network) -> Network | None:
    if one.version != other.version or not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other


def _without(one: Network, gone: Network) -> Iterable[Network]:
    if one.version != gone.version or not one.overlaps(gone):
        return [one]
    if one.prefixlen >= gone.prefixlen:
        return []
    return one.address_exclude(gone)  # type: ignore[arg-type] # of one version, as seen above


def _texts(found: Sequence[Network]) -> tuple[str, ...]:
    fours = [item for item in found if isinstance(item, IPv4Network)]
    sixes = [item for item in found if isinstance(item, IPv6Network)]
    return tuple(map(str, (*collapse_addresses(fours), *collapse_addresses(sixes))))
