"""Plain YAML is read in a quick way: what it says is what the reader of whole YAML says."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.plain_yaml import yaml_values
from cli.reading import DEEPEST, Loc, Mark
from cli.yaml_nodes import Reader
from tests.fixtures.documents import documents
from tests.fixtures.effort import examples


def kept(loc: Loc, text: str, mark: Mark) -> str:
    return text


def same_as_whole(text: str) -> None:
    found = yaml_values(text, kept)
    if found is None:
        return
    reader = Reader(kept)
    # By their texts, which tell 1 from True, and in which what is no number is like itself.
    assert repr(found) == repr(reader.read(text))
    assert reader.problems == []


ODD = [
    "on",
    "yes",
    "No",
    "true",
    "~",
    "null",
    "0123",
    "0x1f",
    "0o7",
    "1:30",
    "2030-01-31",
    "1_000",
    "1e3",
    "1.5e3",
    ".inf",
    "-.NaN",
    "=",
    "<<",
    "-",
    "'",
    "${env:X}",
    "é",
    "😀",
    "-",
    "*x",
    "!y",
]
words = st.sampled_from([*ODD, "", "a: b", "# x", "\u2028", "\x7f", "a\nb "])
any_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(max_size=20)),
    lambda values: st.one_of(st.lists(values), st.dictionaries(st.one_of(words, st.text()), values)),
    max_leaves=20,
)


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(words, any_value), st.booleans(), st.sampled_from([None, "'", '"', "|"]))
def test_values_in_every_style_are_the_same(values: dict[str, Any], flow: bool, style: str | None) -> None:
    for dumper in (yaml.SafeDumper, yaml.CSafeDumper):
        try:
            text = yaml.dump(values, Dumper=dumper, default_flow_style=flow, default_style=style)
        except (yaml.YAMLError, UnicodeEncodeError):
            continue
        same_as_whole(text)


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet=" \n\n\t:::---[]{},'\"#|>!*?%~<01.e_ab$", max_size=60))
def test_whatever_is_written_means_the_same(text: str) -> None:
    same_as_whole(text)


@pytest.mark.parametrize(
    "written",
    [
        "on",
        "0123",
        "0o17",
        "1:30",
        "2030-01-31",
        "~",
        "",
        "1_000",
        "1e3",
        "1.5e+3",
        ".inf",
        "=",
        "'1'",
        "!!str 1",
    ],
)
def test_a_scalar_means_the_same(written: str) -> None:
    same_as_whole(f"a: {written}\nb: [{written}, x]\n")


@settings(max_examples=examples(25), deadline=None)
@given(documents(), st.booleans())
def test_a_document_is_plain(document: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(document, allow_unicode=True, default_flow_style=flow)
    if "&" not in text:
        assert yaml_values(text, kept) == document


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1",
        "a: 1\n---\nb: 2\n",
        "a: 1\na: 2\n",
        "a: &x 1\nb: *x\n",
        "a: *x\n",
        "a: {<<: {b: 1}}\n",
        "a: !x b\n",
        "a: !!python/object:os.system x\n",
        "a: [\n",
        "? [a]\n: 1\n",
        "a: " + "9" * 5_000,
        "a: " + "[" * DEEPEST + "1" + "]" * DEEPEST,
        "[" * 100_000,
    ],
)
def test_what_is_not_plain_is_left_to_the_reader_of_nodes(text: str) -> None:
    assert yaml_values(text, kept) is None
