"""Secrets put into a packed body, beside the same put into the body itself."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.objects import SECRET_MARK, packed, resolve, resolved
from controlplane.core.secrets import GatewaySecret, SecretRef

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just(
    f'{{"{SECRET_MARK}":["sealed","a","b",""]}}'
)
HANDLES = st.builds(SecretRef, st.sampled_from(["a", "b"]), TEXT, TEXT) | st.builds(
    GatewaySecret, st.just("$env://KEY"), TEXT
)
BODIES = st.dictionaries(
    TEXT,
    st.recursive(
        HANDLES | TEXT | st.integers(-9, 9) | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
)


@given(BODIES, TEXT, TEXT)
def test_a_packed_body_with_its_secrets_is_what_the_body_would_be(body: dict, a: str, b: str) -> None:  # type: ignore[type-arg]
    texts = {"a": a, "b": b}
    assert orjson.loads(resolved(packed(body), texts)) == resolve(body, texts)
