"""`ctl plan --validate-on-gateway`: a gateway's own opinion, over sockets."""

import json

from cli.exit_codes import ExitCode
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.gateway.validation import chunks
from tests.fixtures.specs import compiled, document, queue
from tests.fixtures.troubled import TroubledAdmin
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared

VALIDATE = "configs/validate"


def with_a_wrong_priority(path: str, body: bytes) -> bytes:
    """The objects that are to be checked, with one that no gateway takes."""
    if path != VALIDATE:
        return body
    sections = json.loads(body)
    for route in sections.get("routes", ()):
        if route["id"] == "q.support":
            route["priority"] = "high"
    return json.dumps(sections).encode()


async def test_what_the_gateway_would_take_is_an_ordinary_plan_and_nothing_is_written(
    ctl: Ctl, admin: TroubledAdmin, file: File
) -> None:
    code, out, _ = await ctl("plan", *file.write(declared()), "--validate-on-gateway", "-o", "json")
    assert code == ExitCode.CHANGES
    assert json.loads(out)["refusals"] == []
    assert admin.writes == [f"POST {VALIDATE}"]


async def test_what_the_gateway_would_not_take_is_a_refusal_with_its_reason(
    ctl: Ctl, admin: TroubledAdmin, file: File
) -> None:
    admin.spoil = with_a_wrong_priority
    options = (*file.write(declared()), "--validate-on-gateway")
    code, out, _ = await ctl("plan", *options, "-o", "json")
    assert code == ExitCode.REFUSED
    (rejection,) = json.loads(out)["gateways"][0]["rejections"]
    assert (rejection["object"], rejection["declared_by"]) == ("routes/q.support", "queue support")
    assert "priority" in rejection["reason"]
    (refusal,) = json.loads(out)["refusals"]
    assert refusal["about"] == "gateway edge"
    assert "routes/q.support (queue support) would not be taken" in refusal["message"]
    for output in ("text", "markdown"):
        code, out, _ = await ctl("plan", *options, "-o", output)
        assert code == ExitCode.REFUSED
        assert "priority" in out
    assert set(admin.writes) == {f"POST {VALIDATE}"}


async def test_a_gateway_that_cannot_check_is_told_with_what_to_do(
    ctl: Ctl, admin: TroubledAdmin, file: File
) -> None:
    admin.trouble = lambda _, path: 404 if path == VALIDATE else None
    code, out, _ = await ctl("plan", *file.write(declared()), "--validate-on-gateway")
    assert code == ExitCode.REFUSED
    assert f"its Admin API has no {VALIDATE}" in out
    assert "leave --validate-on-gateway out" in out


async def test_a_kept_plan_is_validated_again_when_it_is_applied(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    kept = str(world.folder / "plan.json")
    options = file.write(declared())
    await ctl("plan", *options, "--validate-on-gateway", "--out", kept)
    admin.spoil = with_a_wrong_priority
    code, _, _ = await ctl("apply", "--plan", kept, "--allow-literal-secrets", "--yes")
    assert code != ExitCode.OK
    admin.spoil = lambda _, body: body
    code, _, err = await ctl("apply", "--plan", kept, "--allow-literal-secrets", "--yes")
    assert code == ExitCode.OK, err


async def test_no_secret_goes_to_the_gateway_to_be_checked(
    ctl: Ctl, admin: TroubledAdmin, file: File
) -> None:
    sent: list[bytes] = []

    def heard(path: str, body: bytes) -> bytes:
        sent.append(body)
        return body

    admin.spoil = heard
    await ctl("plan", *file.write(declared()), "--validate-on-gateway")
    assert any(sent)
    assert not any(secret.encode() in body for body in sent for secret in (PROVIDER_KEY, CLIENT_KEY))


async def test_many_objects_are_asked_about_in_several_requests(world: World) -> None:
    values = document(
        queues=[queue(name=f"q{number}") for number in range(8)], keys=[{"name": "web", "queues": ["q1"]}]
    )
    objects = compiled(values).objects
    parts = list(chunks(objects, largest=20_000))
    assert len(parts) > 1
    assert [key for part in parts for key in part.keys.values()] == [item.key for item in objects]
    driver = ApisixAdmin(AdminClient(f"http://127.0.0.1:{world.ports[1]}", ADMIN_KEY))
    assert await driver.validate(objects) == {}
    await driver.close()
