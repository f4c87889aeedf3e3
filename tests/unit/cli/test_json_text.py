"""A declaration in JSON: it says what the same text says as YAML, and its mistakes have the same places."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.declaration import Declaration, read_declaration
from cli.json_text import json_values
from cli.reading import DEEPEST, MOST_VALUES, Loc, Mark
from cli.yaml_nodes import Reader
from controlplane.errors import InvalidSpec
from tests.fixtures.documents import documents
from tests.fixtures.effort import examples

GOOD = """\
{
 "source": "team",
 "providers": [{"name": "mock", "type": "openai", "api_key": "${env:OPENAI_API_KEY}"}],
 "queues": [{"name": "support", "members": [{"name": "main", "provider": "mock", "model": "m"}]}]
}
"""


def read(folder: Path, text: str, **environ: str) -> Declaration:
    file = folder / "queues.yaml"
    file.write_text(text)
    return read_declaration([str(file)], environ)


def kept(loc: Loc, text: str, mark: Mark) -> str:
    return text


any_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda values: st.one_of(st.lists(values), st.dictionaries(st.text(max_size=20), values)),
    max_leaves=20,
)


@settings(max_examples=examples(200), deadline=None)
@given(st.dictionaries(st.text(max_size=20), any_value), st.booleans(), st.sampled_from([None, 1]))
def test_whatever_is_read_as_json_is_the_same_as_yaml(
    values: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(values, ensure_ascii=ascii_only, indent=indent)
    found = json_values(text, kept)
    if found is not None:
        assert found == Reader(kept).read(text)
        assert repr(found) == repr(Reader(kept).read(text)), "and of the same types"


@settings(max_examples=examples(25), deadline=None)
@given(documents())
def test_a_document_as_programs_write_it_is_read_as_json(document: dict[str, Any]) -> None:
    assert json_values(json.dumps(document, indent=1), kept) == document


@pytest.mark.parametrize(
    "text",
    [
        "source: team",
        '["a"]',
        '{"a": 1, }',
        '{"a": 1} # and a comment',
        '{"a": 1, "a": 2}',
        '{"a": 1e3}',
        '{"a": NaN}',
        '{"a": "\\ud83d\\ude00"}',
        '{"a": "one\u2028two"}',
        '{"a": "\x7f"}',
        '{"a": ' + "[" * DEEPEST + "1" + "]" * DEEPEST + "}",
        '{"a": ' + "[" * 100_000,
        '{"a": [' + "1," * MOST_VALUES + "1]}",
    ],
)
def test_what_yaml_refuses_or_understands_in_another_way_is_left_to_it(text: str) -> None:
    assert json_values(text, kept) is None


def test_nothing_is_declared_twice_in_json_either(tmp_path: Path) -> None:
    text = GOOD.replace('"name": "support",', '"name": "support", "name": "sales",')
    with pytest.raises(InvalidSpec, match=":4:33: 'name' is written twice"):
        read(tmp_path, text, OPENAI_API_KEY="sk-x")


def test_references_in_json_are_resolved_and_hidden(tmp_path: Path) -> None:
    declaration = read(tmp_path, GOOD, OPENAI_API_KEY="sk-from-the-environment")
    assert declaration.data["providers"][0]["api_key"] == "sk-from-the-environment"
    assert declaration.references == {"${env:OPENAI_API_KEY}"}
    assert declaration.parts[0].hidden == {"sk-from-the-environment"}


@pytest.mark.parametrize(
    ("changed", "into", "expected"),
    [
        ("${env:OPENAI_API_KEY}", "${env:NOWHERE}", ":3:62: the environment variable NOWHERE is not set"),
        ("${env:OPENAI_API_KEY}", "sk-written-out", ":3:62: api_key is written out in the file"),
        ('"model"', '"modle"', ":4:82: queues.support.members[0].modle: is no field that we know"),
        ('"team"', "true", ":2:2: source: must be"),
    ],
)
def test_a_mistake_in_json_is_pointed_at_by_line_and_column(
    tmp_path: Path, changed: str, into: str, expected: str
) -> None:
    assert changed in GOOD
    with pytest.raises(InvalidSpec) as caught:
        read(tmp_path, GOOD.replace(changed, into), OPENAI_API_KEY="sk-x").check()
    assert expected in str(caught.value)
    assert "sk-written-out" not in str(caught.value)


def test_what_json_and_yaml_declare_twice_is_told_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("queues:\n  - {name: support, members: [{name: a, provider: mock}]}\n")
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(tmp_path)], {"OPENAI_API_KEY": "sk-x"})
    (problem,) = caught.value.problems
    assert problem.field == f"{tmp_path}/b.yaml:2:6: queues.support"
    assert problem.message == f"is declared here and at {tmp_path}/a.yaml:4:14"
