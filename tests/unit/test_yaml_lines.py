"""An apisix.yaml by its lines: JSON that any reader of YAML takes for the same, and others' own text."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.objects import Kind, ObjectKey
from controlplane.gateway.yaml_lines import by_lines, line_of
from controlplane.gateway.yaml_nodes import parsed
from controlplane.gateway.yaml_text import read, text_of

ROUTE = ObjectKey(Kind.ROUTE, "q.support")
# NUL is in nothing that is declared; what stands for variables' braces is read by lines alone.
TEXTS = st.text(st.characters(exclude_characters="\0\ue000\ue001", codec="utf-8"), max_size=40)
SPECIAL = st.sampled_from(["${{HOME}}", "1e5", "null", "- a", "a: b", "# x", "\u2028\x85\x7f\ufeff", '"\\/'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | TEXTS | SPECIAL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
# Any: whatever JSON has.


@settings(max_examples=150, deadline=None)
@given(value=VALUES)
def test_a_line_of_ours_means_the_same_as_json_and_as_yaml(value: Any) -> None:
    entry = line_of(ROUTE, {"value": value})
    text = text_of({"routes": [entry.raw]}, {})
    assert text.count("\n") == 3
    assert "${{" not in text
    (by_line,), (by_yaml,) = read(text)[0]["routes"], parsed(text)[0]["routes"]
    assert by_line.body == by_yaml.body == entry.body == {"id": "q.support", "value": value}


def test_a_name_that_is_too_long_for_yaml_is_written_so_that_it_is_read() -> None:
    entry = line_of(ROUTE, {"n" * 2000: "value"})
    text = text_of({"routes": [entry.raw]}, {})
    assert read(text)[0]["routes"][0].body == yaml.safe_load(text)["routes"][0] == entry.body


def test_what_others_wrote_keeps_its_text_and_the_comments_above_it() -> None:
    theirs = "# by hand\n\n- id: 1   # by number\n  port: ${{PORT}}\n  text: |+\n    a\n\n- {id: 2}\n"
    found = by_lines(f"upstreams:\n{theirs}routes:\n- {{}}\n#END\n")
    assert found is not None
    assert "".join(str(entry.raw) for entry in found[0]["upstreams"]) == theirs
    assert found[0]["upstreams"][0].body == {"id": 1, "port": "${{PORT}}", "text": "a\n\n"}


@pytest.mark.parametrize(
    "text",
    [
        "routes:\n  - {id: a}\n  - {id: b}\n",
        "routes: [{id: a}, {id: b}]\n",
        "routes:\n- {id: a}\n- id: b\n# a comment\n  uri: /b\n",
        "routes:\r\n- {id: a}\r\n- {id: b}\r\n",
        "'routes':\n- {id: a}\n- {id: b}\n",
        "---\nroutes:\n- {id: a}\n- {id: b}\n",
        'routes:\n- id: a\n  text: "one\n- {\\"id\\": \\"no item\\"}\n"\n- id: b\n',
        "routes:\n- &first {id: a, uri: /a}\n- {<<: *first, id: b}\n",
        "routes: # ours\n- {id: a}\n- {id: b}\n",
        "routes: [\n- {id: a}\n- {id: b}\n",
        "routes:\n- {id: x}\nroutes:\n- {id: a}\n- {id: b}\n",
    ],
)
def test_a_file_that_is_laid_out_in_another_way_is_read_as_yaml_has_it(text: str) -> None:
    try:
        wanted = yaml.safe_load(text)["routes"]
    except yaml.YAMLError:
        assert by_lines(text) is None
        return
    assert [entry.body for entry in read(f"{text}#END\n")[0]["routes"]] == wanted
    assert [item["id"] for item in wanted] == ["a", "b"]


def test_a_file_from_which_everything_went_has_something_in_it_that_apisix_reads() -> None:
    assert yaml.safe_load(text_of({}, {})) == {}
