"""What the documents show is what the code takes."""

import dataclasses
import re
from pathlib import Path

import pytest

from cli.declaration import read_declaration
from cli.exit_codes import ExitCode
from cli.finding import CallerSettings
from cli.main import main
from controlplane.settings import Settings

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.DOTALL))
def test_the_declarations_of_the_reference_are_valid(block: str, tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(block)
    environ = dict.fromkeys(re.findall(r"\$\{env:([A-Z_]+)", block), "a-value-of-the-environment")
    read_declaration([str(file)], environ).check()


def test_the_example_can_be_declared_and_enforced() -> None:
    assert main(["validate", "-f", str(ROOT / "deploy" / "examples" / "queues.yaml")]) == ExitCode.OK


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_setting_that_the_reference_names_exists() -> None:
    fields = {*Settings.model_fields, *(field.name for field in dataclasses.fields(CallerSettings))}
    known = {f"SLUICE_{name.upper()}" for name in fields}
    assert set(re.findall(r"SLUICE_[A-Z_]+", REFERENCE.read_text())) <= known
