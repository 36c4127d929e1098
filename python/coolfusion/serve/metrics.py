"""Measures a server for Prometheus: requests by route and status, times, texts, and tokens and passes by member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from coolfusion.fusion import Fusion
from coolfusion.fusion.engine import Entry
from coolfusion.serve.admission import Places

__all__ = ["Metrics"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """The metrics of one server, in a registry of their own.

    Args:
        fusion: the fusion.
        places: the places of the server.
        routes: the paths with a label of their own. Others share one, because clients could make labels without end.
    """

    def __init__(self, fusion: Fusion, places: Places, routes: Sequence[str]) -> None:
        self._routes = frozenset(routes)
        self.registry = registry = CollectorRegistry()
        self._names = [member.name for member in fusion.members]
        engine = fusion.engine
        self._requests = Counter(
            "coolfusion_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "coolfusion_request_seconds",
            "Seconds of whole answers; an answer that a client left counts too.",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._first = Histogram(
            "coolfusion_first_segment_seconds",
            "Seconds until the first segment of a text is known.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._texts = Counter("coolfusion_texts", "Texts that ended, by their end.", ["reason"], registry=registry)
        self._segments = Counter("coolfusion_segments", "Segments by who proposed them.", ["member"], registry=registry)
        self._tokens = Counter("coolfusion_tokens", "Committed tokens of a member.", ["member"], registry=registry)
        self._read = Counter("coolfusion_prompt_tokens", "Prompt tokens of a member.", ["member"], registry=registry)
        self._passes = Counter(
            "coolfusion_passes", "Passes of a member, summed over the texts in them.", ["member"], registry=registry
        )
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("running", "Texts that are written.", lambda: engine.n_running),
            ("waiting", "Texts that wait for room.", lambda: engine.n_waiting),
            ("cached_tokens", "Most tokens that the caches can hold of them.", lambda: engine.n_cached_tokens),
            ("places_taken", "Texts that requests hold places for.", lambda: places.taken),
            ("places", "Places for texts.", lambda: places.most),
        )
        for name, about, read in gauges:
            Gauge(f"coolfusion_{name}", about, registry=registry).set_function(read)

    def __repr__(self) -> str:
        return f"Metrics({self._names})"

    def page(self) -> bytes:
        """Returns the page that Prometheus reads."""
        return generate_latest(self.registry)

    def note_answer(self, route: str, status: int, seconds: float) -> None:
        """Notes an answer.

        Args:
            route: the path of the request.
            status: the HTTP status.
            seconds: time from the request to the end of the answer.
        """
        route = route if route in self._routes else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_first(self, seconds: float) -> None:
        """Notes the time until the first segment of a request was known.

        Args:
            seconds: time since the request began to be written.
        """
        self._first.observe(seconds)

    def note_texts(self, entries: Sequence[Entry]) -> None:
        """Notes texts at the end of their request, also those that a client gave up.

        Args:
            entries: the entries of the texts.
        """
        for entry in entries:
            output = entry.running.output
            self._texts.labels("error" if output.error else output.finish_reason or "aborted").inc()
            names = [member.name for member in output.members]
            for step in output.steps:
                for at in step.candidates[step.winner].members:
                    self._segments.labels(names[at]).inc()
            for member in output.members:
                self._tokens.labels(member.name).inc(member.committed_tokens)
                self._read.labels(member.name).inc(len(member.prompt_ids))
            self.note_costs(entry.running.costs)

    def note_costs(self, costs: Mapping[int, tuple[int, int]]) -> None:
        """Notes passes of members, for example `{0: (3, 12)}` for three passes over 12 tokens.

        Args:
            costs: passes and tokens by the number of the member.
        """
        for number, (passes, _) in costs.items():
            self._passes.labels(self._names[number]).inc(passes)
