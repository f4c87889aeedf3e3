"""A file that declares queues: what is read from it, and how its mistakes are pointed at."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.declaration import Declaration, read_declaration
from controlplane.errors import InvalidSpec

GOOD = """\
version: 1
source: team
providers:
  - name: mock
    type: openai
    api_key: ${env:OPENAI_API_KEY:-sk-mock}
    endpoint: http://127.0.0.1:9500
queues:
  - name: support
    members:
      - {name: main, provider: mock, model: m}
    limits:
      - {tokens: 2_000, per: 1m}
"""


def read(folder: Path, text: str, literal_secrets: bool = False, **environ: str) -> Declaration:
    file = folder / "queues.yaml"
    file.write_text(text)
    return read_declaration(str(file), environ, literal_secrets=literal_secrets)


def complaints(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(folder, text, False, **environ)
    return str(caught.value)


def test_a_file_is_read_with_its_references_resolved(tmp_path: Path) -> None:
    declaration = read(tmp_path, GOOD, OPENAI_API_KEY="sk-real")
    assert declaration.data["providers"][0]["api_key"] == "sk-real"
    assert declaration.document.queues[0].limits[0].tokens == 2000
    assert read(tmp_path, GOOD).data["providers"][0]["api_key"] == "sk-mock"


def test_a_declaration_read_from_stdin_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"queus: []\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    with pytest.raises(InvalidSpec, match=r"<stdin>:1:1: queus: .*did you mean queues"):
        read_declaration("-", {})


@pytest.mark.parametrize(
    ("changed", "into", "expected"),
    [
        ("tokens: 2_000", "tokns: 2000", ":13:10: queues.support.limits[0].tokns: is no field that we know"),
        ("tokens: 2_000", "tokens: -1", ":13:10: queues.support.limits[0].tokens: must be greater than 0"),
        ("type: openai", "type: opnai", ":5:5: providers.mock.type: must be"),
        ("    type: openai\n", "", ":4:5: providers.mock.type: is missing"),
        ("  - name: support", "  - name: support\n    name: other", ":10:5: 'name' is written twice"),
        ("version: 1", "version: [", ":3:10: "),
        ("source: team", "source: !!python/object:os.system x", "the tag"),
        ("source: team", "source: *nobody", ":2:9: "),
        ("sk-mock}", "sk-mock", ":6:14: the reference has no closing }"),
        (":-sk-mock", "", ":6:14: the environment variable OPENAI_API_KEY is not set"),
        ("env:OPENAI_API_KEY:-sk-mock", "file:nowhere.txt", "cannot be read: No such file"),
        ("${env:OPENAI_API_KEY:-sk-mock}", "sk-written-out", ":6:14: api_key is written out in the file"),
    ],
)
def test_a_mistake_is_pointed_at_by_file_line_and_column(
    tmp_path: Path, changed: str, into: str, expected: str
) -> None:
    assert changed in GOOD
    message = complaints(tmp_path, GOOD.replace(changed, into, 1))
    assert expected in message
    assert str(tmp_path / "queues.yaml") in message
    assert "sk-written-out" not in message


def test_every_missing_reference_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace(":-sk-mock", "").replace("source: team", "source: ${env:SOURCE}")
    message = complaints(tmp_path, text)
    assert "OPENAI_API_KEY is not set" in message
    assert "SOURCE is not set" in message


def test_a_file_reference_is_found_beside_the_declaration_and_loses_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("sk-from-a-file\n")
    text = GOOD.replace("${env:OPENAI_API_KEY:-sk-mock}", "${file:key.txt}")
    assert read(tmp_path, text).data["providers"][0]["api_key"] == "sk-from-a-file"


@pytest.mark.parametrize("reference", ["$env://OPENAI_API_KEY", "$secret://vault/1/openai"])
def test_a_reference_of_the_gateway_passes_through(tmp_path: Path, reference: str) -> None:
    text = GOOD.replace("${env:OPENAI_API_KEY:-sk-mock}", reference)
    assert read(tmp_path, text).data["providers"][0]["api_key"] == reference


def test_a_literal_secret_is_taken_when_it_is_asked_for(tmp_path: Path) -> None:
    text = GOOD.replace("${env:OPENAI_API_KEY:-sk-mock}", "sk-written-out")
    declaration = read(tmp_path, text, literal_secrets=True)
    assert declaration.data["providers"][0]["api_key"] == "sk-written-out"
    assert "sk-written-out" not in repr(declaration)


def test_a_doubled_dollar_keeps_a_reference_as_it_is_written(tmp_path: Path) -> None:
    text = GOOD + "    labels: {note: '$${env:X}'}\n"
    assert read(tmp_path, text).data["queues"][0]["labels"] == {"note": "${env:X}"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("0123", 123),
        ("1:30", "1:30"),
        ("2030-01-31", "2030-01-31"),
        ("~", None),
    ],
)
def test_values_mean_what_yaml_1_2_says(tmp_path: Path, written: str, value: Any) -> None:
    text = GOOD.replace("{name: main, provider: mock, model: m}", f"&m {{name: main, model: {written}}}")
    with pytest.raises(InvalidSpec, match="provider: is missing"):
        read(tmp_path, text)
    text = GOOD.replace("source: team", f"source: {written}")
    if isinstance(value, str) and value.isalpha():
        assert read(tmp_path, text).document.source == value


def test_merged_names_give_way_to_those_that_are_written(tmp_path: Path) -> None:
    text = GOOD.replace(
        "{name: main, provider: mock, model: m}",
        "&m {name: main, provider: mock, model: m}\n      - {<<: *m, name: spare, model: n}",
    )
    members = read(tmp_path, text).document.queues[0].members
    assert [(member.name, member.provider, member.model) for member in members] == [
        ("main", "mock", "m"),
        ("spare", "mock", "n"),
    ]


def test_aliases_that_multiply_are_stopped(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "too large" in complaints(tmp_path, "\n".join(lines))


def test_an_alias_within_itself_is_refused(tmp_path: Path) -> None:
    assert "contains itself" in complaints(tmp_path, "queues: &q [*q]\n")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "just a text", "- 1\n", "a: 1\n---\nb: 2\n", "{{a: 1}: 2}"]
)
def test_what_declares_nothing_is_refused_in_words(tmp_path: Path, text: str) -> None:
    assert "queues.yaml:" in complaints(tmp_path, text)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
)
def test_no_file_brings_more_than_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    with suppress(InvalidSpec):
        read_declaration(str(file), {})


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    assert "deep" in complaints(tmp_path, "[" * 900 + "]" * 900)
    complaints(tmp_path, "[" * 100_000)
