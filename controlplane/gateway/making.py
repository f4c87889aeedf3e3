"""Which driver a gateway has."""

from collections.abc import Collection

from controlplane.core.gateways import GatewayKind
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.gateway.driver import Writable
from controlplane.gateway.standalone import ApisixStandalone


def driver_of(kind: GatewayKind, url: str, admin_key: str, plugins: Collection[str] = ()) -> Writable:
    """The driver of a gateway; whoever asks for it closes it."""
    client = AdminClient(url, admin_key)
    return ApisixStandalone(client, plugins) if kind is GatewayKind.STANDALONE else ApisixAdmin(client)
