"""The example that docs/limiter.md begins with."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "limiter.md"


async def test_the_example_does_what_it_says() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), namespace)  # noqa: S102  it is ours
    call = namespace["call"]
    assert await call(100, 64) == "done, 49888 tokens left"
    assert (await call(60_000, 64)).startswith("refused: acme/tokens (web): 60064 tokens can never fit")
