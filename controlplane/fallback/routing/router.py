"""Finds the route of a request, in APISIX's order, without looking at more routes than could match.

A route with hosts goes before one without. An exact uri goes before a prefix, a longer prefix before a
shorter one; among routes of one address the higher priority wins, then the one that was created first.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from heapq import merge

from controlplane.fallback.routing.routes import MODEL_VARIABLE, CompiledRoute, Pattern, compile_route
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.variables import variable
from controlplane.fallback.state.objects import StoredObject
from controlplane.fallback.state.store import Change, Store

_model = variable(MODEL_VARIABLE)


def _order(entry: tuple[CompiledRoute, Pattern]) -> tuple[int, int, int]:
    route, pattern = entry
    return -route.priority, -pattern.length, route.created


class _Bucket:
    """The routes of one address, in order; those that ask for a model are found by it."""

    __slots__ = ("_by_model", "_others")

    def __init__(self) -> None:
        self._others: list[tuple[CompiledRoute, Pattern]] = []
        self._by_model: dict[str, list[tuple[CompiledRoute, Pattern]]] = {}

    def add(self, route: CompiledRoute, pattern: Pattern) -> None:
        group = self._others if route.model is None else self._by_model.setdefault(route.model, [])
        insort(group, (route, pattern), key=_order)

    def remove(self, route: CompiledRoute) -> bool:
        """Take a route out; True when the bucket is empty afterwards."""
        if route.model is None:
            self._others = [entry for entry in self._others if entry[0].key != route.key]
        else:
            left = [entry for entry in self._by_model.get(route.model, []) if entry[0].key != route.key]
            if left:
                self._by_model[route.model] = left
            else:
                self._by_model.pop(route.model, None)
        return not self._others and not self._by_model

    def candidates(self, context: Context) -> Iterator[tuple[CompiledRoute, Pattern]]:
        if not self._by_model:
            return iter(self._others)
        model = _model(context)
        asked = self._by_model.get(model, []) if isinstance(model, str) else []
        return (
            merge(asked, self._others, key=_order) if asked and self._others else iter(asked or self._others)
        )


class _Addresses:
    """Routes by path: exact ones by the path itself, prefixes by their text, longest first."""

    __slots__ = ("_exact", "_lengths", "_longest_first", "_prefixes")

    def __init__(self) -> None:
        self._exact: dict[str, _Bucket] = {}
        self._prefixes: dict[str, _Bucket] = {}
        self._lengths: Counter[int] = Counter()
        self._longest_first: list[int] = []

    def add(self, route: CompiledRoute) -> None:
        for pattern in route.patterns:
            table = self._exact if pattern.exact else self._prefixes
            bucket = table.get(pattern.prefix)
            if bucket is None:
                bucket = table[pattern.prefix] = _Bucket()
                self._count(pattern, 1)
            bucket.add(route, pattern)

    def remove(self, route: CompiledRoute) -> None:
        for pattern in route.patterns:
            table = self._exact if pattern.exact else self._prefixes
            bucket = table.get(pattern.prefix)
            if bucket is not None and bucket.remove(route):
                del table[pattern.prefix]
                self._count(pattern, -1)

    @property
    def empty(self) -> bool:
        return not self._exact and not self._prefixes

    def find(self, path: str, context: Context) -> tuple[CompiledRoute, Pattern] | None:
        bucket = self._exact.get(path)
        if bucket is not None:
            for entry in bucket.candidates(context):
                if entry[0].accepts(context):
                    return entry
        for length in self._longest_first:
            if length > len(path):
                continue
            bucket = self._prefixes.get(path[:length])
            if bucket is None:
                continue
            for entry in bucket.candidates(context):
                route, pattern = entry
                if route.accepts(context) and (pattern.rest is None or pattern.rest.fullmatch(path)):
                    return entry
        return None

    def _count(self, pattern: Pattern, difference: int) -> None:
        """Keep the distinct lengths of prefixes, so that a path is cut only where a prefix may end."""
        if pattern.exact:
            return
        length = len(pattern.prefix)
        self._lengths[length] += difference
        if self._lengths[length] == 0:
            del self._lengths[length]
        if len(self._lengths) != len(self._longest_first):
            self._longest_first = sorted(self._lengths, reverse=True)


class Router:
    """Every enabled route, kept in step with the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._routes: dict[str, CompiledRoute] = {}
        self._of_service: dict[str, set[str]] = {}
        self._anywhere = _Addresses()
        self._hosts: dict[str, _Addresses] = {}
        self._suffixes: dict[str, _Addresses] = {}
        for stored in store.all("routes"):
            self._add(stored)
        store.subscribe(self._changed)

    def find(self, context: Context) -> str | None:
        """The key of the route that a request takes; the context learns by which address."""
        path = context.address.path
        if self._hosts or self._suffixes:
            for host, addresses in self._by_host(context.host):
                found = addresses.find(path, context)
                if found is not None:
                    context.matched_host, context.matched_uri = host, found[1].uri
                    return found[0].key
        found = self._anywhere.find(path, context)
        if found is None:
            return None
        context.matched_uri = found[1].uri
        return found[0].key

    def __len__(self) -> int:
        return len(self._routes)

    def _by_host(self, host: str) -> Iterator[tuple[str, _Addresses]]:
        exact = self._hosts.get(host)
        if exact is not None:
            yield host, exact
        if self._suffixes:
            for start in range(len(host) + 1):
                suffix = self._suffixes.get(host[start:])
                if suffix is not None:
                    yield f"*{host[start:]}", suffix

    def _add(self, stored: StoredObject) -> None:
        value = stored.value
        service = str(value["service_id"]) if "service_id" in value else None
        if service is not None:
            self._of_service.setdefault(service, set()).add(stored.key)
        route = compile_route(stored.key, value, stored.created_index, self._service_hosts(service))
        if route is None:
            return
        self._routes[stored.key] = route
        for addresses in self._tables(route):
            addresses.add(route)

    def _remove(self, stored: StoredObject) -> None:
        value = stored.value
        if "service_id" in value:
            self._of_service.get(str(value["service_id"]), set()).discard(stored.key)
        route = self._routes.pop(stored.key, None)
        if route is None:
            return
        for addresses in self._tables(route):
            addresses.remove(route)
        for host in route.hosts:
            table, name = self._table(host)
            if name in table and table[name].empty:
                del table[name]

    def _tables(self, route: CompiledRoute) -> list[_Addresses]:
        if not route.hosts:
            return [self._anywhere]
        tables = []
        for host in route.hosts:
            table, name = self._table(host)
            if name not in table:
                table[name] = _Addresses()
            tables.append(table[name])
        return tables

    def _table(self, host: str) -> tuple[dict[str, _Addresses], str]:
        return (self._suffixes, host[1:]) if host.startswith("*") else (self._hosts, host)

    def _service_hosts(self, service: str | None) -> list[str] | None:
        stored = self._store.get(f"/services/{service}") if service is not None else None
        hosts: list[str] | None = stored.value.get("hosts") if stored is not None else None
        return hosts

    def _changed(self, change: Change) -> None:
        if change.kind == "routes":
            if change.before is not None:
                self._remove(change.before)
            if change.after is not None:
                self._add(change.after)
        elif change.kind == "services":
            before = change.before.value.get("hosts") if change.before else None
            after = change.after.value.get("hosts") if change.after else None
            if before == after:
                return
            for key in list(self._of_service.get(change.key.rpartition("/")[2], ())):
                stored = self._store.get(key)
                if stored is not None:
                    self._remove(stored)
                    self._add(stored)
