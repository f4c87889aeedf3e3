"""Which driver a gateway has."""

from collections.abc import Collection

from controlplane.core.gateways import GatewayKind
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.gateway.driver import Writable
from controlplane.gateway.standalone import ApisixStandalone
from controlplane.gateway.yaml_file import ApisixYaml, FilePlace


def driver_of(
    kind: GatewayKind,
    url: str,
    admin_key: str,
    *,
    plugins: Collection[str] = (),
    file: FilePlace | None = None,
) -> Writable:
    """The driver of a gateway; whoever asks for it closes it."""
    if file is not None:
        return ApisixYaml(file, plugins)
    client = AdminClient(url, admin_key)
    return ApisixStandalone(client, plugins) if kind is GatewayKind.STANDALONE else ApisixAdmin(client)
