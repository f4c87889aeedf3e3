"""An object that is filled into a shape is what its template makes of its context alone."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader, FileSystemLoader

from controlplane.core.abilities import OURS, STOCK
from controlplane.core.compile import Compiler, Target
from controlplane.core.contexts import OWN_FIELDS, Context, CounterStore, CredentialContext
from controlplane.core.objects import GatewayObject, Kind, ObjectKey, canonical
from controlplane.core.render import BadTemplate, Renderer
from controlplane.core.secrets import SecretRef
from tests.fixtures.effort import examples
from tests.fixtures.specs import (
    MOMENT,
    TEMPLATES,
    desired,
    document,
    documents_with_levels,
    member,
    queue,
    secret,
)

EACH = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
COUNTERS = (CounterStore(), CounterStore("valkey", password=secret("gateway/counters"), tls=True))

# Any: documents as users write them.


class Checked(Renderer):
    """Renders everything twice, and counts what could not be filled into a shape."""

    def __init__(self) -> None:
        super().__init__(FileSystemLoader(TEMPLATES))
        self.alone: list[str] = []

    def render(self, context: Context) -> GatewayObject:
        found = self._shapes.render(context)
        alone = self.render_alone(context)
        if found is None:
            self.alone.append(str(context.key))
        else:
            assert found == alone
        return alone


CHECKED = Checked()
"""One for all examples: what one leaves behind is used by the next."""


@given(documents_with_levels(), st.booleans(), st.sampled_from(COUNTERS))
@EACH
def test_every_object_is_what_its_template_makes_of_it_alone(
    values: dict[str, Any], ours: bool, counters: CounterStore
) -> None:
    target = Target("sluice", counters)
    Compiler(CHECKED, target).compile(desired(values), MOMENT, OURS if ours else STOCK)


def test_the_usual_objects_are_all_filled_into_shapes() -> None:
    limits = [{"tokens": 5, "per": "1m"}, {"requests": 9, "refill_per_s": 0.5}, {"concurrency": 3}]
    queues = [queue(name=name, limits=limits, members=[member(), member(name="spare")]) for name in "ab"]
    rendered = Checked()
    values = document(queues=queues, keys=[{"name": "web", "queues": ["a"]}])
    Compiler(rendered, Target("sluice")).compile(desired(values), MOMENT)
    assert rendered.alone == []


def test_what_shapes_have_gaps_for_are_fields_of_contexts() -> None:
    kinds = [Context]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {field.name for kind in kinds for field in fields(kind)} >= OWN_FIELDS


def credential(name: str, prefix: str = "") -> CredentialContext:
    key = ObjectKey(Kind.CREDENTIAL, f"key/{name}")
    return CredentialContext(key, {"of": name}, f"key {name}", secret=SecretRef(name, f"of-{name}", prefix))


@pytest.mark.parametrize(
    "template",
    [
        '{"labels": L, "id": {{ context.key.id | tojson }}, "secret": {{ context.secret | tojson }}}',
        '{"labels": L, "is_a": {% if context.key.id == "key/a" %}true{% else %}false{% endif %}}',
        '{"labels": L, {{ context.key.id | tojson }}: 1}',
        '{"labels": L, "same": {{ context.key.id | tojson }}, "same": {{ context.declared_by | tojson }}}',
        '{"labels": L, "id": {{ context.key.id | upper | tojson }}}',
        '{% set name = context.key.id %}{"labels": L, "id": {{ name | tojson }}}',
        '{"labels": L, "of": {% for context in [context.labels] %}{{ context.of | tojson }}{% endfor %}}',
        '{"labels": L, "of": {{ context.labels.of | tojson }}, "ids": [{{ context.key.id | tojson }}]}',
        '{"labels": L{% if context.secret.prefix %}, "p": {{ context.secret.prefix | tojson }}{% endif %}}',
        '{"labels": L, "one": {{ context.key | attr("id") | tojson }}}',
        '{"labels": L, "it": {% include "part" %}}',
    ],
)
def test_whatever_a_template_does_an_object_is_its_own(template: str) -> None:
    text = template.replace("L", "{{ context.labels | tojson }}")
    parts = {"credential.json.j2": text, "part": "{% if context.key.id == 'key/a' %}1{% else %}2{% endif %}"}
    renderer = Renderer(DictLoader(parts))
    for context in (credential("a"), credential("b"), credential("ü", "Bearer "), credential("a")):
        assert renderer.render(context) == renderer.render_alone(context)


def test_a_name_that_looks_like_a_mark_is_a_name() -> None:
    text = (
        '{"labels": {{ context.labels | tojson }}, "id": {{ context.key.id | tojson }}, '
        '"by": {% for name in [context.declared_by] %}{{ name | tojson }}{% endfor %}}'
    )
    renderer = Renderer(DictLoader({"credential.json.j2": text}))
    for name in ("$sluice-place:labels", "$sluice-place:key.id", "plain"):
        context = credential(name)
        assert renderer.render(context) == renderer.render_alone(context)


def test_a_pinned_value_is_pinned_for_every_object_of_a_shape() -> None:
    text = '{"labels": {{ context.labels | tojson }}, "id": {{ context.key.id | tojson }}}'
    renderer = Renderer(DictLoader({"credential.json.j2": text}))
    renderer.render(credential("a"))
    pinned = CredentialContext(
        ObjectKey(Kind.CREDENTIAL, "key/b"), {}, "key b", secret=secret("b"), pins={("id",): "another"}
    )
    with pytest.raises(BadTemplate, match="must place 'another' at id"):
        renderer.render(pinned)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
@EACH
def test_the_canonical_text_is_what_python_writes(value: Any) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"))
