"""Counters, gauges and histograms with labels, and their text."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

Labels = tuple[str, ...]
Sample = tuple[Labels, float]

# A label that clients choose must not fill the memory.
MOST_SERIES = 10_000


class Counter:
    """Only grows. Series beyond MOST_SERIES are not counted, and `dropped` says how often that was."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self.dropped = 0
        self._values: dict[Labels, float] = {}

    def add(self, amount: float, labels: Labels) -> None:
        values = self._values
        if labels in values:
            values[labels] += amount
        elif len(values) < MOST_SERIES:
            values[labels] = amount
        else:
            self.dropped += 1

    def lines(self) -> Iterator[str]:
        for labels, value in self._values.items():
            yield _line(self.name, self.labels, labels, value)


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"


class Histogram:
    """How values are spread over buckets."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[int]) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self.dropped = 0
        self._bounds = list(buckets)
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, labels: Labels) -> None:
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MOST_SERIES:
                self.dropped += 1
                return
            series = self._series[labels] = ([0] * (len(self._bounds) + 1), [0.0])
        counts, total = series
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def lines(self) -> Iterator[str]:
        names = (*self.labels, "le")
        for labels, (counts, total) in self._series.items():
            so_far = 0
            for bound, count in zip([*map(str, self._bounds), "+Inf"], counts, strict=True):
                so_far += count
                yield _line(f"{self.name}_bucket", names, (*labels, bound), so_far)
            yield _line(f"{self.name}_count", self.labels, labels, so_far)
            yield _line(f"{self.name}_sum", self.labels, labels, total[0])


class Computed:
    """A metric whose values are looked up when somebody asks."""

    dropped = 0

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        samples: Callable[[], Iterable[Sample]],
        *,
        kind: str,
    ) -> None:
        self.kind = kind
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self._samples = samples

    def lines(self) -> Iterator[str]:
        for labels, value in self._samples():
            yield _line(self.name, self.labels, labels, value)


Metric = Counter | Histogram | Computed


def exposition(metrics: Iterable[Metric]) -> str:
    """All metrics as Prometheus reads them."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {metric.help_text}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(metric.lines())
    return "\n".join([*lines, ""])


def _line(name: str, names: Sequence[str], values: Sequence[str], value: float) -> str:
    labels = ",".join(f'{key}="{_escaped(text)}"' for key, text in zip(names, values, strict=True))
    number = int(value) if float(value).is_integer() else value
    return f"{name}{{{labels}}} {number}" if labels else f"{name} {number}"


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
