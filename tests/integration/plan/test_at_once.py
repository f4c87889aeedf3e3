"""What somebody agrees to beforehand is planned and applied by one request, and told afterwards."""

from typing import Any

import httpx
import pytest

from cli.exit_codes import ExitCode
from cli.plan_text import MOST_SHOWN, plan_text
from controlplane.api.known import DIGEST_HEADER
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

pytestmark = pytest.mark.usefixtures("ctl")

# Any: JSON.
LIMIT = {"tokens": 1000, "per": "1m"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that `ctl` sends from now on, by what is to be done with them."""
    import cli.service

    whole = cli.service.Service._send_document
    seen: list[str] = []

    def noted(self: Any, path: str, *rest: Any) -> Any:
        seen.append(path)
        return whole(self, path, *rest)

    monkeypatch.setattr(cli.service.Service, "_send_document", noted)
    return seen


async def sent(world: World, path: str, values: dict[str, Any], **options: str) -> httpx.Response:
    async with world.api() as api:
        return await api.post(f"/api/v1/{path}", json=values, params=options)


async def test_the_answer_has_the_plan_that_was_carried_out(world: World) -> None:
    foretold = (await sent(world, "plan", declared())).json()
    done = (await sent(world, "apply", declared(), plan="true")).json()
    told = done["plan"]
    assert (told["fingerprint"], told["changes"]) == (foretold["fingerprint"], foretold["changes"])
    assert "routes/q.support" in {step["object"] for step in told["gateways"][0]["steps"]}
    assert done["revision"] == told["revision"] + 1


async def test_the_answer_holds_no_secret(world: World) -> None:
    for telling in ("true", "brief"):
        answer = await sent(world, "apply", declared(), plan=telling)
        assert answer.status_code == 200
        assert PROVIDER_KEY not in answer.text
        assert CLIENT_KEY not in answer.text


async def test_a_plan_told_in_brief_reads_like_the_whole_one(world: World) -> None:
    queues = [queue(f"q{number}", limits=[LIMIT]) for number in range(2 * MOST_SHOWN)]
    queues[-1]["access"] = "open"
    many = declared(queues=queues, keys=[])
    whole = (await sent(world, "plan", many)).json()
    brief = (await sent(world, "apply", many, plan="brief")).json()["plan"]
    (told, rest), (foretold, _) = (plan_text(plan).split("\ngateway edge") for plan in (brief, whole))
    assert told == foretold
    assert "opens the queue to anybody" in told
    assert "more; `ctl describe` has those of a queue" in rest
    assert sum(bool(change["fields"]) for change in brief["changes"]) == MOST_SHOWN
    assert len(brief["enforcement"]) == MOST_SHOWN < len(whole["enforcement"])
    assert "fingerprint" not in brief


async def test_a_plan_is_told_in_no_other_way(world: World) -> None:
    answer = await sent(world, "apply", declared(), plan="shortly")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "plan")


async def test_what_is_refused_is_not_carried_out(world: World) -> None:
    many = declared(queues=[queue(f"q{number}") for number in range(12)], keys=[])
    assert (await sent(world, "apply", many, plan="true")).status_code == 200
    before = (await sent(world, "plan", many)).json()["revision"]
    refused = await sent(world, "apply", declared(queues=[], keys=[]), plan="true", prune="true")
    assert refused.status_code == 412
    assert "would remove 12 of the 13 objects" in refused.json()["detail"]
    assert (await sent(world, "plan", many)).json()["revision"] == before


async def test_a_plan_that_was_agreed_to_is_not_told_again(world: World) -> None:
    plan = (await sent(world, "plan", declared())).json()
    answer = await sent(world, "apply", declared(), plan="true", fingerprint=plan["fingerprint"])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "plan")


async def test_what_was_applied_at_once_is_known_by_its_name(world: World) -> None:
    async with world.api() as api:
        named = {DIGEST_HEADER: "a" * 64}
        await api.post("/api/v1/apply", json=declared(), params={"plan": "true"}, headers=named)
        known = await api.post("/api/v1/plan/known", json={"digest": "a" * 64})
    assert (known.status_code, known.json()["changes"]) == (200, [])


async def test_ctl_sends_what_is_agreed_to_beforehand_once_and_shows_the_plan(
    ctl: Ctl, file: File, asked: list[str]
) -> None:
    code, _, err = await ctl("apply", *file.write(declared()), "--yes")
    assert (code, asked) == (ExitCode.OK, ["apply"])
    assert err.index("+ queue support") < err.index("plan: 3 to create") < err.index("\nrevision")


async def test_ctl_asks_for_the_plan_of_what_is_refused(ctl: Ctl, file: File, asked: list[str]) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    asked.clear()
    code, _, err = await ctl("apply", *file.write({"source": "team"}), "--prune", "--yes")
    assert (code, asked) == (ExitCode.REFUSED, ["apply", "plan"])
    assert "refused: the file declares nothing" in err


async def test_ctl_finds_out_first_which_keys_will_be_made_up(ctl: Ctl, file: File, asked: list[str]) -> None:
    options = file.write(declared(keys=[{"name": "web", "queues": ["support"]}]))
    code, _, err = await ctl("apply", *options, "--yes", "--keys-out", str(file.path.parent / "keys"))
    assert (code, asked) == (ExitCode.OK, ["plan", "apply"]), err


async def test_mistakes_are_led_back_to_their_lines(ctl: Ctl, file: File, asked: list[str]) -> None:
    code, _, err = await ctl("apply", *file.write(declared(queues=[queue(provider="none")])), "--yes")
    assert (code, asked) == (ExitCode.ERROR, ["apply"])
    assert f"{file.path.name}:" in err
    assert "members" in err
