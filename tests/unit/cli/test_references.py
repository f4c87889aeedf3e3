"""`${env:…}` and `${file:…}`: what is replaced, and what is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.references import References, UnresolvedReference, has_reference

NOWHERE = Path("/nonexistent")


@given(st.text(max_size=80))
def test_text_without_a_reference_stays_as_it_is(text: str) -> None:
    if "${env:" not in text and "${file:" not in text:
        assert References({}, NOWHERE).resolve(text) == text
        assert not has_reference(text)


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_a_value_is_placed_as_it_is_and_never_read_again(around: str, value: str) -> None:
    around = around.replace("$", "")
    nested = "${env:OTHER}" + value
    resolved = References({"NAME": nested}, NOWHERE).resolve(f"{around}${{env:NAME}}{around}")
    assert resolved == around + nested + around


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:SET}", "value"),
        ("${env:SET:-default}", "value"),
        ("${env:EMPTY:-default}", "default"),
        ("${env:UNSET:-}", ""),
        ("${env:UNSET:-a:-b}", "a:-b"),
        ("$${env:SET}", "${env:SET}"),
        ("${HOME} $HOME ${other:x}", "${HOME} $HOME ${other:x}"),
    ],
)
def test_the_forms_of_a_reference(text: str, expected: str) -> None:
    assert References({"SET": "value", "EMPTY": ""}, NOWHERE).resolve(text) == expected


@pytest.mark.parametrize(
    "text", ["${env:}", "${env:A-B}", "${env:A:?x}", "${env:A", "${file:}", "${file:gone}"]
)
def test_a_reference_that_leads_nowhere_is_an_error(text: str) -> None:
    with pytest.raises(UnresolvedReference):
        References({}, NOWHERE).resolve(text)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UnresolvedReference):
        References({}, tmp_path).resolve("${file:secret}")
