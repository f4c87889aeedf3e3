"""How long `ctl` waits for gateways."""

import pytest

from cli.converging import PATIENCE_S, POLL_S, wait_until_converged
from cli.finding import CallerSettings
from cli.service import connected
from controlplane.clock import ManualClock
from tests.unit.cli.stand_in import StandIn, gateway, page

GATEWAYS = "GET gateways?limit=200"


@pytest.mark.parametrize(
    ("state", "expected_s"),
    [("converged", 0.0), ("degraded", PATIENCE_S), ("unreachable", 60.0), ("pending", 60.0)],
)
def test_waiting_ends_when_it_helps_no_more(stand_in: StandIn, state: str, expected_s: float) -> None:
    revision = 7 if state == "converged" else 6
    stand_in.says(GATEWAYS, page(gateway(state, revision)))
    clock = ManualClock()
    with connected(CallerSettings(url=stand_in.url, token="a-token")) as service:
        convergence = wait_until_converged(service, 7, 60, clock, sleep=lambda _: clock.advance(1))
    assert convergence.done is (state == "converged")
    assert clock.monotonic() == expected_s


def test_a_gateway_that_recovers_is_waited_for_again(stand_in: StandIn) -> None:
    states = ["degraded"] * 4 + ["pending"] + ["degraded"] * 4 + ["converged"]
    stand_in.says(GATEWAYS, *(page(gateway(state, 7 if state == "converged" else 6)) for state in states))
    clock = ManualClock()
    with connected(CallerSettings(url=stand_in.url, token="a-token")) as service:
        assert wait_until_converged(service, 7, 60, clock, sleep=lambda _: clock.advance(1)).done


def test_a_gateway_that_is_switched_off_is_not_waited_for(stand_in: StandIn) -> None:
    stand_in.says(GATEWAYS, page({**gateway("pending", 0), "enabled": False}))
    with connected(CallerSettings(url=stand_in.url, token="a-token")) as service:
        convergence = wait_until_converged(service, 7, 60, ManualClock())
    assert (convergence.done, list(convergence.gateways)) == (True, [])


def test_a_service_is_asked_half_way_to_when_it_will_be_done(stand_in: StandIn) -> None:
    stand_in.says(GATEWAYS, page(gateway("pending", 6)))
    clock, pauses = ManualClock(), list[float]()
    parts = iter([0.0, 0.5, 0.5])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds if len(pauses) > 1 else 0.4)

    with connected(CallerSettings(url=stand_in.url, token="a-token")) as service:
        wait_until_converged(service, 7, 0.5, clock, sleep=sleep, moved=lambda _: next(parts, 0.5))
    assert pauses[:2] == [POLL_S, pytest.approx(0.1)]


def test_between_two_looks_ctl_waits_for_a_pass_to_end(stand_in: StandIn) -> None:
    behind = page(gateway("pending", 6))
    stand_in.says(GATEWAYS, behind, behind, page(gateway("converged", 7)))
    stand_in.says("GET passes", {"mark": "r.1"})
    stand_in.says("GET passes?after=r.1&within_ms=50", {"mark": "r.2"})
    with connected(CallerSettings(url=stand_in.url, token="a-token")) as service:
        assert wait_until_converged(service, 7, 60, ManualClock()).done
    looks = [path.split("?")[0] for _, path, _ in stand_in.seen]
    assert looks == ["gateways", "passes", "gateways", "passes", "gateways"]
