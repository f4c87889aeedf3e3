"""A taken port is named before anything starts."""

import socket

import pytest

from controlplane.embedded.ports import PortWish, check_ports
from controlplane.errors import Conflict
from tests.fixtures.free_ports import free_ports


def test_free_ports_pass() -> None:
    one, two = free_ports(2)
    check_ports(
        [
            PortWish("the admin service", "127.0.0.1", one, "SLUICE_SERVICE_PORT"),
            PortWish("Postgres", "127.0.0.1", two, "SLUICE_POSTGRES_PORT"),
        ]
    )


def test_every_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [server.getsockname()[1] for server in (one, two)]
        with pytest.raises(Conflict) as caught:
            check_ports(
                [
                    PortWish("the admin service", "127.0.0.1", ports[0], "SLUICE_SERVICE_PORT"),
                    PortWish("Postgres", "127.0.0.1", ports[1], "SLUICE_POSTGRES_PORT"),
                ]
            )
    assert [str(problem) for problem in caught.value.problems] == [
        f"SLUICE_SERVICE_PORT: 127.0.0.1:{ports[0]} for the admin service is taken",
        f"SLUICE_POSTGRES_PORT: 127.0.0.1:{ports[1]} for Postgres is taken",
    ]


def test_one_port_for_two_parts_names_both_settings() -> None:
    [port] = free_ports(1)
    wishes = [
        PortWish("the gateway's traffic", "127.0.0.1", port, "SLUICE_GATEWAY_PORT"),
        PortWish("the mock provider", "127.0.0.1", port, "SLUICE_MOCK_PORT"),
    ]
    with pytest.raises(Conflict, match=f"SLUICE_MOCK_PORT: port {port} is SLUICE_GATEWAY_PORT as well"):
        check_ports(wishes)
