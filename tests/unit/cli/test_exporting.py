"""A document is written so that reading it gives the same document."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given

from cli.declaration import read_declaration
from cli.exporting import as_file, variables
from controlplane.core.desired import derived_id
from controlplane.core.exporting import declaration_of
from controlplane.core.spec import Document
from tests.fixtures.specs import document, documents, member, queue

# Any: documents as users write them.


def exported(values: dict[str, Any]) -> dict[str, Any]:
    """The document as the service exports it."""
    declared = Document.model_validate(values)
    kinds: dict[str, tuple[Any, ...]] = {
        "provider": declared.providers,
        "tenant": declared.tenants,
        "queue": declared.queues,
        "key": declared.keys,
    }
    sections = {
        f"{kind}s": [declaration_of(spec, derived_id(kind, spec.name)) for spec in specs]
        for kind, specs in kinds.items()
    }
    return {"version": 1, "source": declared.source, **sections}


def read_back(text: str, environ: dict[str, str] | None = None) -> Document:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queues.yaml"
        path.write_text(text, encoding="utf-8")
        return read_declaration([str(path)], environ or {}).document


@given(documents())
def test_every_document_reads_back_as_it_was(values: dict[str, Any]) -> None:
    assert read_back(as_file(exported(values))) == Document.model_validate(values)


def test_what_looks_like_a_reference_is_not_read_as_one() -> None:
    patterns = ["${env:HOME}", "$${env:HOME}", "${file:/etc/passwd}", "$$${env:X:-y}", "${other}", "$$"]
    values = document(queues=[queue(guards={"deny_patterns": patterns})])
    assert read_back(as_file(exported(values))) == Document.model_validate(values)


def test_texts_that_yaml_takes_for_something_else_stay_texts() -> None:
    odd = ["yes", "1e5", "0123", "null", "2030-01-31", "1:30", "~"]
    labels = {**{f"n{number}": text for number, text in enumerate(odd)}, "123": "x", "no": "y"}
    models = [*odd, "- a", "a: b", "#", "'", '"', "é\u2028🦊", " x "]
    members = [member(model=text, name=f"m{number}") for number, text in enumerate(models)]
    values = document(queues=[queue(labels=labels, members=members)])
    assert read_back(as_file(exported(values))) == Document.model_validate(values)


def test_a_variable_of_its_own_stands_for_each_stored_secret() -> None:
    held = {
        "source": "team",
        "providers": [
            {"name": "a-b", "type": "openai", "api_key": "***"},
            {"name": "a_b", "type": "openai", "api_key": "***"},
            {"name": "own", "type": "openai", "api_key": "$env://OWN"},
            {"name": "none", "type": "openai"},
        ],
        "keys": [{"name": "1st", "key": "***"}],
    }
    assert list(variables(held).values()) == ["A_B_API_KEY", "A_B_API_KEY_2", "_1ST_KEY"]
    written = yaml.safe_load(as_file(held, env=True))
    found = [item.get("api_key") for item in written["providers"]]
    assert found == ["${env:A_B_API_KEY}", "${env:A_B_API_KEY_2}", "$env://OWN", None]
    environ = {"A_B_API_KEY": "sk-1", "A_B_API_KEY_2": "sk-2", "_1ST_KEY": "sk-of-sixteen-characters"}
    key = read_back(as_file(held, env=True), environ).providers[1].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-2"
