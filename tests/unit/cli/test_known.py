"""What a declaration is known by, so that the service need not be sent it again."""

from pathlib import Path

import pytest

from cli.known import Name, named


def name(path: Path, literal: bool = False, **environ: str) -> Name:
    found = named([str(path)], environ, literal_secrets=literal)
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "queues.yaml"
    path.write_text(
        "providers: [{name: main, type: openai, api_key: '${env:KEY}', endpoint: '${file:at}'}]\n"
    )
    (tmp_path / "at").write_text("https://one.example")
    return path


def test_the_same_files_and_references_have_the_same_name(file: Path) -> None:
    assert name(file, KEY="sk-1") == name(file, KEY="sk-1", OTHER="x")


def test_another_text_value_file_or_option_is_another_name(file: Path, tmp_path: Path) -> None:
    names = {name(file, KEY="sk-1").digest, name(file, KEY="sk-2").digest, name(file).digest}
    names.add(name(file, literal=True, KEY="sk-1").digest)
    (tmp_path / "at").write_text("https://two.example")
    names.add(name(file, KEY="sk-1").digest)
    file.write_text(file.read_text() + "# more\n")
    names.add(name(file, KEY="sk-1").digest)
    assert len(names) == 6


def test_a_name_stands_for_what_it_has_seen_alone(file: Path) -> None:
    found = name(file, KEY="sk-1")
    assert found.of({"${env:KEY}"}) == found.digest
    assert found.of({"${env:KEY}", "${env:HIDDEN}"}) is None


def test_what_cannot_be_read_twice_or_at_all_has_no_name(tmp_path: Path) -> None:
    assert named(["-"], {}, literal_secrets=False) is None
    assert named([str(tmp_path / "nowhere.yaml")], {}, literal_secrets=False) is None
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\xff")
    assert named([str(tmp_path / "latin.yaml")], {}, literal_secrets=False) is None
