"""What the gateway reports about calls: metrics, and entries sent to an address."""

import asyncio
import re
from pathlib import Path
from typing import Any

from tests.integration.fallback.conftest import HELLO, Bench, running

METRICS = "/apisix/prometheus/metrics"
SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>[-+.\d]+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


async def metrics(bench: Bench) -> dict[tuple[str, str], float]:
    """Samples by name and by the value of their most telling label, buckets left out."""
    found: dict[tuple[str, str], float] = {}
    for line in (await bench.admin.get(METRICS)).text.splitlines():
        sample = SAMPLE.fullmatch(line)
        assert sample is not None or line.startswith("# "), line
        if sample is None or "_bucket" in line:
            continue
        name, labels = sample["name"], dict(LABEL.findall(sample["labels"] or ""))
        telling = labels.get("code") or labels.get("type") or labels.get("route_id", "")
        found[(name, telling)] = found.get((name, telling), 0) + float(sample["value"])
    return found


async def test_calls_latencies_bytes_and_tokens_are_counted(bench: Bench) -> None:
    await bench.route({"prometheus": {}})
    for _ in range(3):
        await bench.call(X_Mock_Usage="10")
    await bench.call(X_Mock_Status="503")
    await bench.call(body={**HELLO, "stream": True}, X_Mock_Usage="20")
    found = await metrics(bench)
    assert found[("apisix_http_status", "200")] == 4
    assert found[("apisix_http_status", "503")] == 1
    assert found[("apisix_llm_prompt_tokens", "r1")] == 25
    assert found[("apisix_llm_completion_tokens", "r1")] == 25
    assert found[("apisix_llm_prompt_tokens_dist_count", "r1")] == 5
    assert found[("apisix_llm_latency_count", "ttft")] == 1
    assert found[("apisix_http_latency_count", "request")] == 5
    assert found[("apisix_bandwidth", "egress")] > 0
    assert found[("apisix_llm_active_connections", "r1")] == 0
    assert found[("apisix_node_info", "")] == 1


async def test_the_time_of_a_plain_upstream_is_counted_too(bench: Bench) -> None:
    address = bench.mock.base_url.removeprefix("http://")
    await bench.put(
        "routes/r1",
        {"uri": "/*", "upstream": {"nodes": {address: 1}}, "plugins": {"prometheus": {}}},
    )
    await bench.call("/v1/chat/completions")
    assert (await metrics(bench))[("apisix_http_latency_count", "upstream")] == 1


async def test_labels_can_be_named_and_switched_off(bench: Bench) -> None:
    conf = {"disabled_labels": {"http_status": ["consumer", "node"]}}
    await bench.put("plugin_metadata/prometheus", conf)
    await bench.put("plugin_metadata/prometheus", {"disabled_labels": {"http_status": ["code"]}}, status=400)
    await bench.put("global_rules/g1", {"plugins": {"prometheus": {"prefer_name": True}}})
    await bench.route(name='a "route"\nof mine', uri="/chat*")
    await bench.call("/chat/x")
    lines = (await bench.admin.get(METRICS)).text.splitlines()
    line = next(line for line in lines if line.startswith("apisix_http_status{"))
    assert 'route="a \\"route\\"\\nof mine"' in line
    assert 'matched_uri="/chat*"' in line
    assert 'node=""' in line


async def test_metrics_are_not_for_everybody(bench: Bench) -> None:
    reply = await bench.admin.get(METRICS, headers={"X-API-KEY": "wrong"})
    assert reply.status_code == 401
    assert (await bench.client.get(METRICS)).status_code == 404


# Entries.


async def logged(bench: Bench, count: int) -> list[dict[str, Any]]:
    """The entries that have arrived, when there are so many."""
    async with asyncio.timeout(30):
        while True:
            bodies = [seen.body for seen in bench.mock.requests if seen.path == "/log"]
            entries = [entry for body in bodies for entry in (body if isinstance(body, list) else [body])]
            if len(entries) >= count:
                return entries
            await asyncio.sleep(0.02)


def logger(bench: Bench, **options: Any) -> dict[str, Any]:
    return {"http-logger": {"uri": f"{bench.mock.base_url}/log", "batch_max_size": 2, **options}}


async def test_entries_are_sent_in_batches_also_for_calls_that_were_refused(bench: Bench) -> None:
    log_format = {"who": "$http_x_who", "status": "$status", "tokens": "$llm_total_tokens", "kind": "call"}
    await bench.route(
        {
            **logger(bench, log_format=log_format),
            "limit-count": {"count": 1, "time_window": 60, "rejected_code": 429, "key": "remote_addr"},
        }
    )
    await bench.call(X_Who="ann", X_Mock_Usage="10")
    await bench.call(X_Who="bob")
    assert await logged(bench, 2) == [
        {"who": "ann", "status": 200, "tokens": 10, "kind": "call", "route_id": "r1"},
        {"who": "bob", "status": 429, "tokens": "0", "kind": "call", "route_id": "r1"},
    ]


async def test_sizes_times_and_what_was_asked_for_are_numbers_and_texts_as_apisix_has_them(
    bench: Bench,
) -> None:
    names = (
        *("request_length", "bytes_sent", "request_time", "upstream_response_time", "llm_tool_count"),
        *("llm_end_user_id", "rate_limiting_info"),
    )
    log_format = {name: f"${name}" for name in names}
    limit = {"limit": 1000, "time_window": 60}
    await bench.route({**logger(bench, log_format=log_format, inactive_timeout=1), "ai-rate-limiting": limit})
    tool = {"type": "function", "function": {"name": "f"}}
    reply = await bench.call(body={**HELLO, "user": "u-1", "tools": [tool]})
    (entry,) = await logged(bench, 1)
    assert entry["llm_tool_count"] == 1
    assert entry["llm_end_user_id"] == "u-1"
    assert entry["request_length"] > int(reply.request.headers["content-length"]) + 50
    assert entry["bytes_sent"] > len(reply.content) + 50
    assert isinstance(entry["request_time"], float | int)
    assert isinstance(entry["upstream_response_time"], float | int)
    assert '"rate_limiting_key":"/apisix/routes/r1:' in entry["rate_limiting_info"]


async def test_bodies_are_in_the_entry_where_that_is_asked_for(bench: Bench) -> None:
    await bench.route(
        logger(
            bench,
            batch_max_size=1,
            include_req_body=True,
            include_resp_body=True,
            max_req_body_bytes=10,
            auth_header="secret-of-the-log",
        )
    )
    await bench.call()
    (entry,) = await logged(bench, 1)
    assert entry["request"]["body"] == '{"messages'
    assert "Hello from mock" in entry["response"]["body"]
    assert bench.mock.requests[-1].headers["authorization"] == "secret-of-the-log"


async def test_a_batch_that_is_not_taken_is_tried_again(bench: Bench) -> None:
    await bench.route(logger(bench, batch_max_size=1, max_retry_count=2, retry_delay=0))
    bench.mock.set_defaults(prefix="/log", status=500, times=2)
    await bench.call()
    async with asyncio.timeout(30):
        while len([seen for seen in bench.mock.requests if seen.path == "/log"]) < 3:
            await asyncio.sleep(0.02)


async def test_what_waits_is_sent_when_the_gateway_stops(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway") as bench:
        await bench.route(logger(bench))
        await bench.call()
        assert not [seen for seen in bench.mock.requests if seen.path == "/log"]
        mock = bench.mock
        # The gateway stops before the mock does.
    assert len([seen for seen in mock.requests if seen.path == "/log"]) == 1
