"""What was compiled before is kept, and never shows in what is compiled."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import FileSystemLoader

from controlplane.core.abilities import OURS, STOCK, Abilities
from controlplane.core.compile import Compiler, Target
from controlplane.core.compiled import Compiled
from controlplane.core.contexts import Context
from controlplane.core.desired import DesiredState
from controlplane.core.limits import Limit
from controlplane.core.memory import Memory
from controlplane.core.objects import GatewayObject
from controlplane.core.platform import Platform
from controlplane.core.render import Renderer
from tests.fixtures.effort import examples
from tests.fixtures.specs import (
    BASE_DOMAIN,
    MOMENT,
    TEMPLATES,
    compiler,
    desired,
    document,
    documents_with_levels,
    member,
    queue,
    secret,
)

EACH = settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
PLATFORM = Platform((Limit(tokens=10**9, per="1h"),), {"gold": (Limit(tokens=10**6, per="1m"),)})

# Any: documents as users write them.


def outcome(result: Compiled) -> tuple[object, ...]:
    objects = [(item.key, item.text, item.hash, item.declared_by) for item in result.objects]
    return objects, result.report, result.problems


@given(st.lists(documents_with_levels(), min_size=2, max_size=4), st.lists(st.booleans(), min_size=4))
@EACH
def test_states_one_after_another_compile_as_each_does_alone(
    values: list[dict[str, Any]], abilities: list[bool]
) -> None:
    memory, used = Memory(), compiler(platform=PLATFORM)
    for each, ours in zip(values, abilities, strict=False):
        able = OURS if ours else STOCK
        kept = used.compile(desired(each), MOMENT, able, memory)
        assert outcome(kept) == outcome(compiler(platform=PLATFORM).compile(desired(each), MOMENT, able))


@st.composite
def changed(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A document, and the same with something else in it that other objects depend on."""
    before = draw(documents_with_levels())
    after = draw(documents_with_levels())
    kept = {kind: list(before[kind]) for kind in ("providers", "tenants", "queues", "keys")}
    for item in kept[draw(st.sampled_from(["providers", "tenants", "keys"]))]:
        item_like = after[draw(st.sampled_from(["tenants", "keys"]))]
        if item_like and "limits" in item_like[0]:
            item_like = item_like[0]["limits"][:1]
            kept_item = {**item, "limits": [limit for limit in item_like if "by" not in limit]}
            kept = {
                kind: [kept_item if other is item else other for other in items]
                for kind, items in kept.items()
            }
    for item in list(kept["tenants"]):
        flipped = {**item, "suspended": not item["suspended"], "tier": "gold", "subdomain": "acme"}
        if draw(st.booleans()):
            kept["tenants"] = [flipped] + [other for other in kept["tenants"] if other is not item]
            break
    return before, kept


@given(changed(), st.booleans())
@EACH
def test_a_change_reaches_everything_that_depends_on_it(
    pair: tuple[dict[str, Any], dict[str, Any]], ours: bool
) -> None:
    memory, used = Memory(), compiler(platform=PLATFORM)
    able = OURS if ours else STOCK
    for each in (*pair, pair[0]):
        kept = used.compile(desired(each), MOMENT, able, memory)
        assert outcome(kept) == outcome(compiler(platform=PLATFORM).compile(desired(each), MOMENT, able))


class Counting(Renderer):
    """Counts what is rendered."""

    def __init__(self) -> None:
        super().__init__(FileSystemLoader(TEMPLATES))
        self.rendered: list[str] = []

    def render(self, context: Context) -> GatewayObject:
        self.rendered.append(context.declared_by)
        return super().render(context)


class Counted:
    """A compiler with a memory, and what each compilation rendered."""

    def __init__(self) -> None:
        self.renderer = Counting()
        self.memory = Memory()
        self._compiler = Compiler(self.renderer, Target("sluice", base_domain=BASE_DOMAIN))

    def __call__(
        self, state: DesiredState, moment: datetime = MOMENT, abilities: Abilities = STOCK
    ) -> set[str]:
        self.renderer.rendered.clear()
        self.memory.tidy_up(len(self._compiler.compile(state, moment, abilities, self.memory).made))
        return set(self.renderer.rendered)


def state(**parts: Any) -> DesiredState:
    values = document(queues=[queue(), queue(name="sales")], keys=[{"name": "web", "queues": ["sales"]}])
    return desired(values | parts)


def test_what_has_not_changed_is_not_rendered_again() -> None:
    rendered = Counted()
    assert rendered(state()) > {"queue support", "queue sales", "key web"}
    assert rendered(state()) == set()


def test_a_changed_queue_is_rendered_alone() -> None:
    rendered = Counted()
    rendered(state())
    queues = [queue(limits=[{"tokens": 5, "per": "1m"}]), queue(name="sales")]
    assert rendered(state(queues=queues)) == {"queue support"}


def test_a_provider_with_another_secret_reaches_its_queues() -> None:
    rendered = Counted()
    before = state()
    rendered(before)
    provider = replace(before.providers["openai-main"], secret=secret("another"))
    after = replace(before, providers={"openai-main": provider})
    assert rendered(after) == {"queue support", "queue sales", "provider openai-main"}


def test_a_key_that_expires_closes_the_queue_that_it_opened() -> None:
    rendered = Counted()
    expiring = {"name": "web", "queues": ["sales"], "expires_at": (MOMENT + timedelta(hours=1)).isoformat()}
    rendered(state(keys=[expiring]))
    assert rendered(state(keys=[expiring]), MOMENT + timedelta(hours=2)) == {"queue sales"}


def test_other_abilities_of_the_gateway_place_everything_anew() -> None:
    rendered = Counted()
    sliding = [queue(limits=[{"tokens": 5, "per": "1m", "mode": "sliding"}]), queue(name="sales")]
    assert "queue support" not in rendered(state(queues=sliding))
    assert "queue support" in rendered(state(queues=sliding), abilities=OURS)


def test_a_tenant_that_moves_takes_its_queues_along() -> None:
    rendered = Counted()
    queues = [queue(tenant="acme"), queue(name="sales")]
    rendered(state(tenants=[{"name": "acme", "subdomain": "acme"}], queues=queues))
    moved = state(tenants=[{"name": "acme", "subdomain": "acme-two"}], queues=queues)
    assert rendered(moved) == {"queue support"}


def test_what_is_gone_is_forgotten_once_it_is_much() -> None:
    memory = Memory()
    for number in range(2000):
        memory.recall("made", f"queue q{number}", (), object)
    memory.tidy_up(1)
    kept = memory.recall("made", "queue q7", (), object)
    memory.tidy_up(1)
    assert memory.recall("made", "queue q7", (), object) is kept
    made = object()
    assert memory.recall("made", "queue q8", (), lambda: made) is made


def test_a_member_of_another_weight_is_another_input() -> None:
    rendered = Counted()
    rendered(state())
    queues = [queue(members=[member(weight=2)]), queue(name="sales")]
    assert rendered(state(queues=queues)) == {"queue support"}


def test_what_was_asked_for_lately_outlives_a_pass_that_uses_little() -> None:
    memory, made = Memory(), []

    def ask(number: int) -> None:
        memory.recall("made", f"queue {number}", (), lambda: made.append(number))

    for number in range(5000):
        ask(number)
    memory.tidy_up(1)
    for number in range(10):
        ask(number)
    assert len(made) == 5000
    memory.tidy_up(1)
    for number in range(20):
        ask(number)
    assert made[5000:] == list(range(10, 20))
