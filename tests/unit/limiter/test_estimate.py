"""How many tokens a call is going to use."""

import base64
from hashlib import sha1
from pathlib import Path
from typing import Any

import orjson
import pytest
import tiktoken.load
from hypothesis import given
from hypothesis import strategies as st

from controlplane.limiter.estimate import Encodings, Estimate, Estimator

TEXT = "Once upon a time there was a gateway. " * 20


def estimate(estimator: Estimator, body: dict[str, Any], **options: Any) -> Estimate:
    options = {"queue": "support", "model": "some-model", **options}
    return estimator.estimate(body, size=len(orjson.dumps(body)), **options)


def chat(text: str = TEXT, **fields: Any) -> dict[str, Any]:
    return {"model": "some-model", "messages": [{"role": "user", "content": text}], **fields}


def test_the_output_is_what_the_client_allows_then_what_the_queue_does() -> None:
    estimator = Estimator()
    assert estimate(estimator, chat(max_tokens=300)).completion_tokens == 300
    assert estimate(estimator, chat(max_completion_tokens=200, max_tokens=300)).completion_tokens == 200
    assert estimate(estimator, chat(max_tokens=300), cap=100).completion_tokens == 100
    assert estimate(estimator, chat(), cap=100).completion_tokens == 100
    assert estimate(estimator, {"input": "hi", "max_output_tokens": 50}).completion_tokens == 50


def test_without_any_cap_it_is_what_nearly_all_answers_of_the_queue_stay_within() -> None:
    estimator = Estimator(quantile=0.9, first_answer_tokens=2000)
    assert estimate(estimator, chat()).completion_tokens == 2000
    for tokens in range(1, 101):
        estimator.learn(estimate(estimator, chat()), prompt_tokens=10, completion_tokens=tokens)
    learnt = estimate(estimator, chat()).completion_tokens
    assert 85 <= learnt <= 110
    assert estimate(estimator, chat(), queue="another").completion_tokens == 2000


def test_what_was_learnt_follows_a_queue_that_changes() -> None:
    estimator = Estimator()
    for tokens in [50] * 2000 + [4000] * 300:
        estimator.learn(estimate(estimator, chat()), prompt_tokens=10, completion_tokens=tokens)
    assert 4000 <= estimate(estimator, chat()).completion_tokens < 5000


def test_a_very_long_history_is_still_learnt_from() -> None:
    estimator = Estimator()
    made = estimate(estimator, chat())
    for tokens in [10] * 60_000 + [100] * 2000:
        estimator.learn(made, prompt_tokens=10, completion_tokens=tokens)
    assert 100 <= estimate(estimator, chat()).completion_tokens < 125


def test_several_answers_are_charged_as_often() -> None:
    assert estimate(Estimator(), chat(max_tokens=100, n=3)).completion_tokens == 300


def test_embeddings_have_no_output() -> None:
    made = estimate(Estimator(), {"input": ["some text"] * 3}, answers=False, strict=True)
    assert (made.completion_tokens, made.cap, made.unbounded) == (0, None, ())


def test_tokens_that_are_sent_as_numbers_are_counted() -> None:
    assert estimate(Estimator(), {"input": [[1, 2, 3], [4, 5]]}, answers=False).prompt_tokens == 5


def test_a_model_without_a_known_encoding_is_measured_by_what_its_calls_showed() -> None:
    estimator = Estimator()
    first = estimate(estimator, chat())
    for _ in range(60):
        estimator.learn(first, prompt_tokens=first.text_bytes // 5, completion_tokens=1)
    assert estimate(estimator, chat()).prompt_tokens == pytest.approx(first.text_bytes / 5, rel=0.05)
    assert estimate(estimator, chat(), model="another").prompt_tokens == first.prompt_tokens


names = st.one_of(st.text(max_size=8), st.sampled_from(["type", "content", "text", "name", "function"]))


@given(
    body=st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text()
        ),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    ),
    field=st.sampled_from(["messages", "input", "system", "tools", "max_tokens", "n", "prompt"]),
    strict=st.booleans(),
)
def test_no_body_is_too_odd_to_be_estimated(body: Any, field: str, strict: bool) -> None:
    made = estimate(Estimator(), {field: body}, strict=strict)
    assert made.prompt_tokens > 0
    assert made.completion_tokens >= 0


def test_a_body_may_be_nested_as_deep_as_it_likes() -> None:
    body: Any = "text"
    for _ in range(100_000):
        body = [body]
    for field in ("input", "tools"):
        assert Estimator().estimate({field: body}, size=200_000, queue="q", model="m").prompt_tokens == 1


@given(
    text=st.text(max_size=300), fields=st.sampled_from([{}, {"tools": [{"type": "function", "name": "f"}]}])
)
def test_a_strict_prompt_is_never_less_than_a_token_for_each_byte(text: str, fields: dict[str, Any]) -> None:
    made = estimate(Estimator(), chat(text, max_tokens=5, **fields), strict=True)
    assert made.prompt_tokens >= len(text.encode("utf-8", "surrogatepass"))
    assert made.unbounded == ()


def test_a_strict_estimate_needs_a_cap_on_the_output() -> None:
    assert "max_tokens" in estimate(Estimator(), chat(), strict=True).unbounded[0]
    made = estimate(Estimator(), chat(), strict=True, cap=77)
    assert (made.completion_tokens, made.cap, made.unbounded) == (77, 77, ())


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"mcp_servers": [{"url": "https://tools.example"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}
            ]
        },
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ],
    ids=str,
)
def test_a_prompt_that_is_not_all_in_the_request_has_no_strict_bound_and_says_why(
    fields: dict[str, Any],
) -> None:
    assert len(estimate(Estimator(), chat(max_tokens=5) | fields, strict=True).unbounded) == 1


def test_an_image_is_charged_as_an_image_not_by_the_bytes_that_carry_it() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 300_000}}
    body = chat(max_tokens=5) | {
        "messages": [{"role": "user", "content": [image, {"type": "text", "text": TEXT}]}]
    }
    estimator = Estimator(image_tokens=700, largest_image_tokens=40_000)
    assert 700 < estimate(estimator, body).prompt_tokens < 700 + len(TEXT)
    assert 40_000 < estimate(estimator, body, strict=True).prompt_tokens < 43_000


def test_the_amounts_of_an_estimate_fit_the_meters() -> None:
    made = estimate(Estimator(), chat(max_tokens=50))
    assert made.amounts == {
        "tokens": made.prompt_tokens + 50,
        "prompt_tokens": made.prompt_tokens,
        "completion_tokens": 50,
    }


def tiny() -> dict[str, Any]:
    """An encoding of bytes and the word "the", declared as tiktoken declares its own."""
    ranks = tiktoken.load.load_tiktoken_bpe(
        "https://tokens.invalid/tiny",
        expected_hash="4c25f4ddd03ba6c9b096ae8ac592770430ebea35b5109ca1d561999cffd72f28",
    )
    return {"name": "tiny", "pat_str": r"\w+|\W", "mergeable_ranks": ranks, "special_tokens": {}}


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """tiktoken's cache in a folder of the test; whoever asks the network for a file fails."""

    def refuse(path: str) -> bytes:
        pytest.fail(f"would have downloaded {path}")

    monkeypatch.setattr(tiktoken.load, "read_file", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


def cached(folder: Path, content: bytes | None = None) -> None:
    """Put the file of the tiny encoding where tiktoken looks for it."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"th", b"the"]
    lines = [base64.b64encode(token) + b" " + str(rank).encode() + b"\n" for rank, token in enumerate(tokens)]
    name = sha1(b"https://tokens.invalid/tiny", usedforsecurity=False).hexdigest()
    (folder / name).write_bytes(b"".join(lines) if content is None else content)


def encodings() -> Encodings:
    return Encodings({"tiny": tiny}, {"tiny-model": "tiny"}.__getitem__)


def test_an_encoding_that_is_on_this_machine_counts_exactly(no_downloads: Path) -> None:
    cached(no_downloads)
    known = encodings()
    assert known.load(["tiny-model", "other-model"]) == ["tiny-model"]
    made = estimate(Estimator(known), chat("the then"), model="tiny-model")
    assert made.prompt_tokens == len(["the", " ", "the", "n"]) + 4


def test_an_encoding_that_is_not_here_is_not_downloaded(no_downloads: Path) -> None:
    assert encodings().load(["tiny-model"]) == []
    real = Encodings()
    assert real.load(["gpt-4o-mini", "gpt-4", "gpt-oss-20b", "gpt2", "no-such-model"]) == []
    assert real.of("gpt-4o-mini") is None


def test_a_file_that_is_not_what_it_should_be_is_not_replaced(no_downloads: Path) -> None:
    cached(no_downloads, b"something else")
    assert encodings().load(["tiny-model"]) == []


def test_an_encoding_is_used_only_after_it_was_loaded(no_downloads: Path) -> None:
    cached(no_downloads)
    assert encodings().of("tiny-model") is None


def test_tiktoken_told_to_keep_nothing_has_nothing(
    no_downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(no_downloads)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert encodings().load(["tiny-model"]) == []


def test_a_long_prompt_is_not_encoded_to_its_end(no_downloads: Path) -> None:
    cached(no_downloads)
    known = encodings()
    known.load(["tiny-model"])
    made = estimate(Estimator(known), chat("the " * 100_000), model="tiny-model")
    assert made.prompt_tokens == pytest.approx(200_000, rel=0.01)
