"""Which gateways serve which queues."""

from typing import Any

import pytest
from jinja2 import FileSystemLoader

from controlplane.core.abilities import OURS, STOCK
from controlplane.core.compile import Compiler, Target
from controlplane.core.desired import DesiredState
from controlplane.core.render import Renderer
from controlplane.core.selection import Site, able, served_at, served_nowhere, unenforced
from tests.fixtures.specs import MOMENT, TEMPLATES, desired, document, queue

EU, US = {"region": "eu", "stage": "live"}, {"region": "us"}
BUCKET = [{"tokens": 100, "refill_per_s": 5}]

# Any: documents as users write them.


def state(**parts: Any) -> DesiredState:
    """A queue in Europe, one everywhere, and a key of the European one."""
    keys = [{"name": "european", "queues": ["eu"]}]
    queues = [queue(name="eu", gateways={"region": "eu"}, **parts), queue(name="everywhere")]
    return desired(document(queues=queues, keys=keys))


@pytest.mark.parametrize(
    ("labels", "served"),
    [(EU, {"eu", "everywhere"}), (US, {"everywhere"}), ({}, {"everywhere"})],
)
def test_a_gateway_serves_the_queues_whose_labels_it_has(labels: dict[str, str], served: set[str]) -> None:
    assert served_at(state(), labels).queues.keys() == served


def test_a_gateway_needs_every_label_that_is_asked_for() -> None:
    asked = desired(document(queues=[queue(gateways={"region": "eu", "stage": "live"})]))
    assert served_at(asked, EU).queues
    assert not served_at(asked, {"region": "eu"}).queues


def test_a_gateway_is_compiled_only_what_it_serves() -> None:
    made = Compiler(Renderer(FileSystemLoader(TEMPLATES)), Target("tests", labels=US)).compile(
        state(), MOMENT
    )
    assert {"queue everywhere", "key european"} <= made.made.keys()
    assert "queue eu" not in made.made


def test_a_state_that_a_gateway_serves_whole_is_that_state() -> None:
    whole = state()
    assert served_at(whole, EU) is whole


def test_a_limit_must_be_enforced_by_a_gateway_that_serves_the_queue() -> None:
    buckets = state(limits=BUCKET)
    (problem,) = unenforced(buckets, buckets.queues, [Site(EU, STOCK, "paris"), Site(US, OURS, "ohio")])
    assert problem.field.startswith("queues.eu.limits[0]")
    assert problem.message.startswith("cannot be enforced on gateway paris: ")
    assert not unenforced(buckets, buckets.queues, [Site(EU, OURS), Site(US, STOCK)])


def test_every_gateway_that_serves_a_queue_and_cannot_hold_its_limit_is_named() -> None:
    buckets = state(limits=BUCKET)
    sites = [Site(EU, STOCK, "rome"), Site(EU, STOCK, "paris"), Site(US, STOCK, "ohio")]
    messages = [problem.message for problem in unenforced(buckets, ["eu"], sites)]
    assert [message.partition(": ")[0] for message in messages] == [
        "cannot be enforced on the gateways paris, rome"
    ]


def test_what_no_gateway_would_hold_blames_none() -> None:
    dear = state(limits=({"usd": 5, "per": "1h"},))
    (problem,) = unenforced(dear, ["eu"], [Site(EU, OURS, "paris")])
    assert "paris" not in problem.message


def test_nothing_stands_against_a_queue_before_there_is_a_gateway_for_it() -> None:
    buckets = state(limits=BUCKET)
    assert able(buckets.queues["eu"].spec, [Site(US, STOCK)]) == OURS
    assert not unenforced(buckets, buckets.queues, [Site(US, STOCK)])


def test_a_queue_that_selects_no_gateway_is_told_with_what_it_asks_for() -> None:
    assert served_nowhere(state(), [Site(US)]) == {"eu": "region=eu"}
    assert not served_nowhere(state(), [Site(US), Site(EU)])
