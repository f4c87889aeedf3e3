"""A file that declares queues: what is read from it, and how its mistakes are pointed at."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.declaration import Declaration, read_declaration
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec, Problem
from tests.fixtures.documents import documents
from tests.fixtures.effort import examples

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
    return read_declaration([str(file)], environ, literal_secrets=literal_secrets)


def complaints(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(folder, text, False, **environ).check()
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
        read_declaration(["-"], {}).check()


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
        read(tmp_path, text).check()
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


@settings(
    max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
)
def test_no_file_brings_more_than_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    with suppress(InvalidSpec):
        read_declaration([str(file)], {}).check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"source: a\n# \xff\n", "the file is no UTF-8 text, as line 2 shows (save it as UTF-8)"),
        (b"#" * 10_000_001, "the file is over 10 MB (split it)"),
    ],
)
def test_a_file_that_cannot_be_read_as_text_is_named_once(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "queues.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(file)], {})
    (problem,) = caught.value.problems
    assert str(problem) == f"{file}:1:1: {said}"


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_bytes(b"\xef\xbb\xbfsource: team\r\nkeys:\r\n  - {name: web}\r\n")
    declaration = read_declaration([str(file)], {})
    assert declaration.data == {"source": "team", "keys": [{"name": "web"}]}


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    assert "deep" in complaints(tmp_path, "[" * 900 + "]" * 900)
    complaints(tmp_path, "[" * 100_000)


def test_files_and_folders_are_merged_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "b" / "two.yml").write_text("source: team\nkeys:\n  - {name: web, queues: [support]}\n")
    (tmp_path / "b" / "deep" / "one.yaml").write_text("keys: [{name: batch}]\nqueues:\n")
    (tmp_path / "b" / "notes.txt").write_text("no declaration")
    (tmp_path / ".hidden" / "three.yaml").write_text("no: declaration")
    (tmp_path / "a.yaml").write_text(GOOD)
    declaration = read_declaration(
        [str(tmp_path / "a.yaml"), str(tmp_path / "b"), str(tmp_path / "a.yaml")], {}
    )
    assert [key["name"] for key in declaration.data["keys"]] == ["batch", "web"]
    assert [key.name for key in declaration.document.keys] == ["batch", "web"]
    assert [queue.name for queue in declaration.document.queues] == ["support"]
    assert declaration.document.source == "team"
    placed = declaration.placed(Problem("keys.web.queues[0]", "is wrong"))
    assert placed.field == f"{tmp_path}/b/two.yml:3:26: keys.web.queues[0]"


def test_a_folder_without_a_declaration_is_no_empty_declaration(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"has no file that ends in \.yaml"):
        read_declaration([str(tmp_path)], {})


def test_what_is_declared_twice_is_told_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(
        "source: others\nqueues:\n  - name: support\n    members: [{name: main, provider: mock}]\n"
    )
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(tmp_path)], {})
    fields = {problem.field: problem.message for problem in caught.value.problems}
    assert fields == {
        f"{tmp_path}/b.yaml:1:1: source": f"is 'others' here and 'team' at {tmp_path}/a.yaml:2:1",
        f"{tmp_path}/b.yaml:3:5: queues.support": f"is declared here and at {tmp_path}/a.yaml:9:5",
    }


def test_what_one_file_declares_twice_is_told_once(tmp_path: Path) -> None:
    text = GOOD + "  - name: support\n    members: [{name: main, provider: mock}]\n"
    with pytest.raises(InvalidSpec) as caught:
        read(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.field.endswith(":14:5: queues.support")
    assert problem.message.endswith("queues.yaml:9:5")


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        GOOD.replace(":-sk-mock", "").replace("tokens: 2_000", "tokns: 2").replace("model: m", "model: !x m")
    )
    (tmp_path / "b.yaml").write_text("keys:\n  - {name: web, nmae: x, queus: [support], enabled: 0}\n")
    (tmp_path / "c.yaml").write_text("keys: [\n")
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(tmp_path)], {})
    fields = [problem.field.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert fields == [
        "a.yaml:6:14",
        "a.yaml:11:45",
        "a.yaml:13:10: queues.support.limits[0].tokns",
        "b.yaml:2:17: keys.web.nmae",
        "b.yaml:2:26: keys.web.queus",
        "b.yaml:2:44: keys.web.enabled",
        "c.yaml:2:1",
    ]


CANARY = "sk-canary-7f3d91c2a45be608"
PLACES = [
    "providers: [{name: p, type: openai, api_key: CANARY, nonsense: 1}]",
    "providers: [{name: p, type: CANARY}]",
    "providers: [{name: p, type: openai, endpoint: CANARY}]",
    "providers: [{name: p, type: openai, api_key: [CANARY]}]",
    "queues: [{name: q, members: [{name: m, provider: p, weight: CANARY}]}]",
    "queues: [{name: q, members: CANARY}]",
    "queues: [{name: q, balancer: CANARY, members: [{name: m, provider: p}]}]",
    "queues: [{name: q, members: [{name: m, provider: p}], limits: [{tokens: 1, per: CANARY}]}]",
    "tenants: [{name: t, limits: [{tokens: 1, per: 1m, time_zone: CANARY}]}]",
    "queues: [{name: q, members: [{name: m, provider: p}], fallback: [CANARY]}]",
    "keys: [{name: k, key: CANARY, enabled: 0}]",
    "keys: [{name: k, queues: [CANARY, CANARY], enabled: 0}]",
    "keys: CANARY",
    "version: CANARY",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_message_repeats_what_a_reference_stands_for(tmp_path: Path, place: str) -> None:
    message = complaints(tmp_path, place.replace("CANARY", "'${env:KEY}'") + "\nbroken: 1\n", KEY=CANARY)
    assert "queues.yaml:" in message
    assert CANARY not in message


@pytest.mark.parametrize("place", [place for place in PLACES if "key: CANARY" in place])
def test_no_message_repeats_a_secret_that_is_written_out(tmp_path: Path, place: str) -> None:
    text = place.replace("CANARY", CANARY) + "\nbroken: 1\n"
    assert CANARY not in complaints(tmp_path, text)
    with pytest.raises(InvalidSpec) as caught:
        read(tmp_path, text, True).check()
    assert CANARY not in str(caught.value)


@settings(
    max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(documents(), st.booleans())
def test_any_valid_document_is_read_as_it_was_written(
    tmp_path: Path, document: dict[str, Any], flow: bool
) -> None:
    text = yaml.safe_dump({"version": 1, **document}, allow_unicode=True, default_flow_style=flow)
    declaration = read(tmp_path, text)
    assert declaration.data == {"version": 1, **document}
    assert declaration.document == Document.model_validate(document)


@settings(
    max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(documents(), st.data())
def test_an_unknown_field_is_found_where_it_is_written(
    tmp_path: Path, document: dict[str, Any], data: st.DataObject
) -> None:
    places = [item for kind in ("queues", "keys", "tenants", "providers") for item in document.get(kind, ())]
    if not places:
        return
    data.draw(st.sampled_from(places))["colour"] = "x"
    text = yaml.safe_dump({"version": 1, **document}, sort_keys=False)
    line, column = next(
        (number, row.index("colour") + 1)
        for number, row in enumerate(text.splitlines(), start=1)
        if row.lstrip("- ").startswith("colour:")
    )
    with pytest.raises(InvalidSpec) as caught:
        read(tmp_path, text).check()
    (field,) = (found.field for found in caught.value.problems if "is no field" in found.message)
    assert f":{line}:{column}: " in field
    assert field.endswith(".colour")
