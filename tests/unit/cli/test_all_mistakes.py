"""Everything that is wrong with a file is told at once, also where one object has several mistakes."""

from pathlib import Path

import pytest

from cli.declaration import read_declaration
from controlplane.errors import InvalidSpec

TEXT = """\
version: 1
source: team
providers:
  - name: openai-main
    type: azure-openai
    tenant: acme
    shared: true
    api_key: ${env:OPENAI_KEY}
    labls: {team: core}
    limits:
      - {tokens: 5, requests: 6}
      - {tokns: 5, per: 1m, mode: slidin}
queues:
  - name: support
    tenant: acm
    access: open
    hash_on: x-user
    timeout_s: "60"
    balancr: chash
    members:
      - {name: main, provider: opnai-main, model: a, weight: 0}
      - {name: main, provider: openai-main, weight: -1}
    limits:
      - {tokens: 10, per: 1m, by: key}
      - {tokens: 10, by: team, value: gold, mode: sliding}
    guards: {allow_ips: [10.0.0.1], deny_ips: [10.0.0.2], max_body_bytes: 0}
tenants:
  - {name: acme, tier: everything, suspended: "no"}
rules:
  - name: weather
    path: /weather
    target: https://weather.example
    access: tenant
    hosts: [a.example, a.example]
    headers: {set: {authorization: x}, remove: [x-a, authorization]}
    plugins:
      - {name: content_validator, settings: {deny_patterns: [a]}, priority: high}
keys:
  - {name: web, queues: [support, support, suport], expires_at: tomorrow}
  - {name: web, rules: [whether]}
"""
FOUND = """\
4:5: providers.openai-main.endpoint: a provider of type azure-openai needs an `endpoint` (add it)
7:5: providers.openai-main.shared: a provider of a tenant cannot be `shared` (remove one of the two)
8:14: the environment variable OPENAI_KEY is not set (export OPENAI_KEY=…)
9:5: providers.openai-main.labls: is no field that we know (did you mean labels?)
11:9: providers.openai-main.limits[0].per: needs either `per` (a window) or `refill_per_s` (a bucket)
11:21: providers.openai-main.limits[0].requests: declares 2 meters
12:10: providers.openai-main.limits[1].tokns: is no field that we know (did you mean tokens?)
12:29: providers.openai-main.limits[1].mode: must be 'fixed' or 'sliding' (did you mean sliding?)
15:5: queues.support.tenant: there is no tenant 'acm' here (did you mean acme? otherwise
18:5: queues.support.timeout_s: must be a number (write it without quotes)
19:5: queues.support.balancr: is no field that we know (did you mean balancer?)
21:22: queues.support.members[0].provider: there is no provider 'opnai-main' here (did you mean openai-main?
22:9: queues.support.members[1]: the member 'main' is declared twice (give each its own name)
22:45: queues.support.members[1].weight: must be at least 0 (write a greater number)
24:31: queues.support.limits[0].by: `by: key` needs `access: keys`, for an open queue knows no keys
25:9: queues.support.limits[1].per: needs either `per` (a window) or `refill_per_s` (a bucket)
25:22: queues.support.limits[1].by: `by: team` belongs to a tenant's limits (declare it there)
26:37: queues.support.guards.deny_ips: a gateway takes either `allow_ips` or `deny_ips`
26:59: queues.support.guards.max_body_bytes: must be at least 1 (write a greater number)
28:18: tenants.acme.tier: `everything` holds everybody already (name another tier)
28:36: tenants.acme.suspended: must be true or false (write true or false)
30:5: rules.weather.tenant: `access: tenant` needs a `tenant` (name one, or use `access: keys`)
34:24: rules.weather.hosts[1]: the host 'a.example' is declared twice (give each its own name)
35:21: rules.weather.headers.set.authorization: authorization would be kept in plain text
35:54: rules.weather.headers.remove[1]: authorization is set and removed (keep one of the two)
37:46: rules.weather.plugins[0].settings.deny_patterns: `deny_patterns` are for answers
37:67: rules.weather.plugins[0].priority: must be a whole number
39:35: keys.web.queues[1]: the queue 'support' is declared twice (give each its own name)
39:44: keys.web.queues[2]: there is no queue 'suport' here (did you mean support?
39:53: keys.web.expires_at: must be a time (write a time such as 2030-01-31T12:00:00Z)
40:25: keys.web.rules[0]: there is no rule 'whether' here (did you mean weather?
40:6: keys.web: is declared here and at
""".splitlines()


def told(folder: Path, text: str) -> list[str]:
    file = folder / "queues.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(file)], {}).check()
    return [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems]


def test_of_every_kind_and_with_its_place(tmp_path: Path) -> None:
    found = told(tmp_path, TEXT)
    assert [line[: len(wanted)] for line, wanted in zip(found, FOUND, strict=True)] == FOUND


def test_what_follows_from_another_mistake_is_not_told(tmp_path: Path) -> None:
    """The names of a list, a field that is misspelt, and a member that cannot be read."""
    text = "queues: [{name: a, balancr: chash, hash_on: x-user, members: [5, {name: b, provider: p}]}]\n"
    found = told(tmp_path, text + "providers: [{name: p, typ: bedrock}]\n")
    assert [line.partition(": ")[2].partition(" (")[0] for line in found] == [
        "queues.a.balancr: is no field that we know",
        "queues.a.members[0]: must be an object",
        "providers.p.type: is missing",
        "providers.p.typ: is no field that we know",
    ]


def test_of_references_nothing_is_said_where_another_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("providers: [\n")
    (tmp_path / "a.yaml").write_text("queues: [{name: a, members: [{name: b, provider: p}], x: 1}]\n")
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(tmp_path)], {})
    assert "there is no provider" not in str(caught.value)


def test_a_name_that_a_reference_stands_for_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("keys: [{name: a, queues: ['${env:CANARY}'], x: 1}]\n")
    with pytest.raises(InvalidSpec) as caught:
        read_declaration([str(file)], {"CANARY": "sk-canary-7f3d91c2"}).check()
    assert "there is no queue" in str(caught.value)
    assert "canary" not in str(caught.value)
