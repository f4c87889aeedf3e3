"""The README's quick start works word for word."""

from pathlib import Path

from tests.e2e.quick_start import ROOT, Reader, quick_start_blocks


def test_whoever_follows_the_readme_sees_what_it_says(tmp_path: Path) -> None:
    up, *blocks = quick_start_blocks()
    reader = Reader.at(tmp_path / "sluice")
    examples = reader.folder / "deploy" / "examples"
    examples.mkdir(parents=True)
    example = (ROOT / "deploy" / "examples" / "queues.yaml").read_text()
    (examples / "queues.yaml").write_text(reader.on_own_ports(example))

    with reader.stack(up):
        declared, _, first_call, sdk, stopped, raised, shown = reader.run(blocks)

    assert "+ queue support" in declared
    assert "converged" in declared
    assert first_call.startswith("HTTP/1.1 200")
    answered, rejected = sdk.splitlines()
    assert answered == "answered, for 60 tokens"
    assert rejected.startswith("429: ")
    assert stopped.startswith("HTTP/1.1 429")
    headers = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in stopped.splitlines()}
    assert 0 < int(headers["retry-after"]) <= 300
    assert "rate_limit_exceeded" in stopped
    assert "~ queue support" in raised
    assert raised.splitlines()[-1] == "answered, for 60 tokens"
    assert "1000 tokens per 5m" in shown
    assert "ai-rate-limiting rule" in shown
