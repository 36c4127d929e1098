"""The engine: requests join and leave at any step, and all of them share the passes of every model.

The life of a request: `add` checks it and puts it in a queue. When there is room, `step` begins it. Commands go to the
executor, replies come back, and the request's next commands follow, until it is finished. Every call to `step` advances
all requests, whoever asked for them.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError, FusionError, RequestTimeoutError
from coolfusion.executors.base import Executor
from coolfusion.executors.inline import InlineExecutor
from coolfusion.executors.threads import ThreadExecutor
from coolfusion.fusion.opening import open_request
from coolfusion.fusion.options import PREFIXES, Alignment, Prefix, Request, Settings, check_choice, check_engine
from coolfusion.fusion.prompts import Reader, prompts_of
from coolfusion.fusion.running import Running, Send
from coolfusion.fusion.selection import DEFAULT_RULE, Rule, as_rule, granularity_of
from coolfusion.fusion.speculation import Speculation
from coolfusion.members.commands import Reply
from coolfusion.members.cost import PassCost
from coolfusion.members.endings import GRANULARITIES, Granularity
from coolfusion.members.member import Member, check_members
from coolfusion.records import Output, Step


class Event(NamedTuple):
    """Something that happened to a request that was added.

    Attributes:
        request_id: the request.
        steps: steps that have become known.
        output: what was written, if the request has ended; None before.
        error: what ended it, or None.
    """

    request_id: int
    steps: tuple[Step, ...]
    output: Output | None
    error: Exception | None


class FusionEngine:
    """Writes any number of texts at a time with the same members.

    One thread at a time makes a step; any thread may add and abort.

    Args:
        members: the members; each with a runner of its own.
        alignment: "aligned" ends segments where the tokenizers of all members have a boundary, "shortest" where the
            writing member has one.
        granularity: the unit of text that one segment is: "word", "pre_token", "phrase", "sentence" or "line". None
            takes pre-tokens for rules that count the end of a segment, and words for others.
        prefix: "always" puts what a tokenizer wants before a text, mostly BOS, before every prompt. "likelier" leaves
            it out where a member finds the prompt likelier so, for one more reading of the prompt.
        rule: the selection rule, or its name.
        drafts: how many words the leader writes ahead, 0 for none; None adapts to how often the members agree.
        executor: what runs the members; None takes one for this process.
        pass_timeout: seconds that a pass of a model may take, or None. Only with `executor=None`.
        max_concurrent_requests: how many requests are written at the same time; others wait in order.
        max_cached_tokens: how many tokens the caches of all requests and members may hold together, or None.

    Raises:
        NoModelsError: no members.
        ArgumentError: two members share a runner, or a value outside its range.

    Example:
        ``engine = FusionEngine(members); engine.add(Request(prompt="Once")); events = engine.step()``
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        alignment: Alignment = "aligned",
        granularity: Granularity | None = None,
        prefix: Prefix = "always",
        rule: Rule = DEFAULT_RULE,
        drafts: int | None = None,
        executor: Executor | None = None,
        pass_timeout: float | None = None,
        max_concurrent_requests: int = 32,
        max_cached_tokens: int | None = None,
    ) -> None:
        self.members = check_members(members)
        if len({id(member.runner) for member in self.members}) < len(self.members):
            raise ArgumentError("two members share one runner; make one for each member (they may share the weights)")
        self.alignment, self._granularity, self.prefix = alignment, granularity, prefix
        self.rule = check_engine(
            alignment=alignment,
            granularity=granularity,
            prefix=prefix,
            rule=rule,
            drafts=drafts,
            pass_timeout=pass_timeout,
            max_concurrent_requests=max_concurrent_requests,
            max_cached_tokens=max_cached_tokens,
        )
        if executor is not None and pass_timeout is not None:
            raise ArgumentError("pass_timeout belongs to the executor: give it to the one that is passed")
        if executor is not None and (isinstance(executor, type) or not isinstance(executor, Executor)):
            raise ArgumentError(f"executor must be None or an Executor, not {executor!r}")
        self.readers = [Reader(member.name, member.tokenizer) for member in self.members]
        self._executor = _executor(self.members, pass_timeout) if executor is None else executor
        self._drafts = drafts
        self._limits = max_concurrent_requests, max_cached_tokens
        self._numbers = itertools.count()
        self._stepping = self._closed = self._ended = False
        self._begin_process()

    def __repr__(self) -> str:
        names = ", ".join(member.name for member in self.members)
        return f"FusionEngine([{names}], {len(self._running)} running, {len(self._queue)} waiting)"

    def __enter__(self) -> FusionEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def n_running(self) -> int:
        """How many requests are being written."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """How many requests wait for room."""
        return len(self._queue) + len(self._incoming)

    @property
    def n_cached_tokens(self) -> int:
        """How many tokens the caches of the running requests may come to hold."""
        # A copy, because another thread may be making a step.
        return sum(request.n_cached_tokens() for request in tuple(self._running.values()))

    @property
    def max_concurrent_requests(self) -> int:
        """How many requests are written at the same time."""
        return self._limits[0]

    def add(self, request: Request) -> int:
        """Adds a request; its steps and its output come out of `step`.

        Returns:
            its id.

        Raises:
            FusionError: the engine was closed.
            ArgumentError: the prompt is none, or larger than `max_cached_tokens` allows at all.
            EmptyPromptError: a member has nothing to start from.
            UnrepresentableTextError: a member cannot represent the prompt.
            PromptTooLongError: a prompt is longer than a member's limit, and `overlong` is "error".

        Complexity: the encoding of the prompt by each member.
        """
        entry = self.open(request)
        self._watched[entry.number] = entry
        return self.submit(entry)

    @property
    def granularity(self) -> Granularity:
        """The unit of text that one segment is, under the rule of the engine."""
        return self._granularity or granularity_of(self.rule)

    def open(
        self,
        request: Request,
        *,
        where: str = "",
        members: Sequence[int] | None = None,
        rule: Rule | None = None,
        alignment: Alignment | None = None,
        granularity: Granularity | None = None,
        prefix: Prefix | None = None,
    ) -> Entry:
        """Checks a request without adding it; `submit` adds what is returned.

        Args:
            request: the request; a tuple of prompts has one for each member of the engine.
            where: says in messages which prompt it is.
            members: numbers of the members that write it, in ascending order; None takes all.
            rule: the selection rule, where it is not that of the engine.
            alignment: where segments end, if it is not as in the engine.
            granularity: the unit of text that one segment is, if it is not as in the engine.
            prefix: when prompts are read without BOS, if it is not as in the engine.

        Raises:
            ArgumentError: no `Request`, an unknown rule or alignment, or numbers that no member has; else as `add`.

        Complexity: the encoding of the prompt by each member.
        """
        self._check_open()
        if not isinstance(request, Request):
            raise ArgumentError(f"expected a Request, not {request!r}")
        numbers = range(len(self.members)) if members is None else list(members)
        if not numbers or list(numbers) != sorted(set(range(len(self.members))).intersection(numbers)):
            expected = f"expected ascending numbers out of 0..{len(self.members) - 1}"
            raise ArgumentError(f"members must be some of the engine's, not {members!r}; {expected}")
        everyone = [(number, self.members[number]) for number in numbers]
        prompts, notes = prompts_of(request, self.readers, numbers)
        settings = self._settings(rule, alignment, granularity, prefix)
        running = open_request(request, everyone, prompts, settings, self._numbers, where, notes)
        limit = self._limits[1]
        if limit is not None and running.n_cached_tokens() > limit:
            needed = running.n_cached_tokens()
            raise ArgumentError(f"the request may need {needed} cached tokens, max_cached_tokens is {limit}")
        return Entry(running.sessions[0], running)

    def enter(self, make: Callable[[int], Running]) -> Entry:
        """Adds work of another kind, for example the scores of whole texts; `step_until` sees it through.

        Args:
            make: from the number of a new session to the state machine.

        Raises:
            FusionError: the engine was closed.

        Example:
            ``entry = engine.enter(make); engine.step_until(lambda: entry.running.is_finished)``
        """
        self._check_open()
        running = make(next(self._numbers))
        entry = Entry(running.session, running)
        self.submit(entry)
        return entry

    def submit(self, entry: Entry) -> int:
        """Adds a request that `open` has checked; returns its id."""
        self._check_open()
        self._incoming.append(entry)
        return entry.number

    def abort(self, request_id: int, error: Exception | None = None) -> None:
        """Ends a request, and frees its memory: at once, or when the step that is being made has ended.

        Args:
            request_id: the request; nothing happens if it has ended.
            error: what stands in its event, or None.
        """
        self._aborted.append((request_id, error))
        self._sweep()

    @property
    def has_unfinished(self) -> bool:
        """Whether any request is running or waiting."""
        return bool(self._running or self._queue or self._incoming)

    def step(self) -> list[Event]:
        """Advances all requests until a member has answered; returns what became known of requests that were added.

        Raises:
            FusionError: the engine was closed, or this thread is making a step already.
            KeyboardInterrupt: of the user. All requests can go on, but for one whose step was just being decided; that
                one ends with an error.

        Complexity: at most one pass of one member, or of each device.
        """
        self._check_open()
        with self._lock:
            self._step()
            events = self._events()
        self._sweep()
        return events

    def step_until(self, done: Callable[[], bool]) -> None:
        """Makes steps until `done`, in turn with other threads that do so; all requests advance.

        Raises:
            FusionError: no request is left that could bring it about, or this thread is making a step already.
        """
        self._check_process()
        while not done():
            # Another thread may make the step that this one waits for.
            if self._lock.acquire(timeout=0.05):
                try:
                    if not done():
                        if not self.has_unfinished:
                            raise FusionError("the request that is waited for is not in this engine")
                        self._step()
                finally:
                    self._lock.release()
        self._sweep()

    def close(self) -> None:
        """Ends all requests, and the executor with its threads or processes; a closed engine takes no request.

        Called inside a step of the same thread, for example by a signal handler, it takes effect after that step.
        """
        self._closed = True
        if os.getpid() != self._process:
            return  # the executor belongs to the parent
        with self._lock:
            if not self._stepping:
                self._end_all()

    # A step.

    def _end_all(self) -> None:
        """Ends what a closed engine still holds, once."""
        if self._ended:
            return
        self._ended = True
        for entry in [*self._entries.values(), *(entry for *_, entry in self._queue), *self._incoming]:
            entry.running.abort(FusionError("the engine was closed"))
            entry.notify()
        for held in (self._queue, self._incoming, self._entries, self._running, self._sessions):
            held.clear()
        self._executor.close()

    def _step(self) -> None:
        """Makes a step; the caller holds the lock."""
        self._check_process()
        if self._stepping:
            raise FusionError("a step is being made by this thread; a rule or a signal handler cannot make another")
        self._stepping = True
        try:
            self._advance()
        finally:
            self._stepping = False
            if self._closed:
                self._end_all()

    def _advance(self) -> None:
        if self._incoming or self._aborted:
            self._take_in()
        if self._n_timed:
            self._end_late()
        if self._queue:
            self._begin_waiting()
        if not self._running:
            return
        if not self._replies:
            try:
                self._replies.extend(self._executor.poll())
            except BaseException:
                self._executor.recover()
                raise
        while self._replies:
            reply = self._replies.popleft()
            entry = self._sessions.get(reply.session)
            if entry is not None:
                self._deliver(entry, reply)

    def _deliver(self, entry: Entry, reply: Reply | None) -> None:
        """Hands a reply to a request, or starts it, and sends what it answers. If interrupted there, it is lost."""
        running = entry.running
        try:
            self._send(running.start() if reply is None else running.receive(reply))
        except BaseException:
            self._send(running.abort(FusionError("the text was interrupted while a step was decided")))
            self._retire()
            raise
        if running.is_finished:
            self._retire()
        else:
            entry.notify()

    def _send(self, sends: Sequence[Send]) -> None:
        for member, command in sends:
            self._executor.submit(member, command)

    def _retire(self) -> None:
        """Takes finished requests out."""
        for number in [number for number, running in self._running.items() if running.is_finished]:
            running = self._running.pop(number)
            for session in running.sessions:
                self._sessions.pop(session, None)
            self._entries[number].notify()
            del self._entries[number]
        if not self._running:
            self._executor.rest()

    def _take_in(self) -> None:
        """Queues new requests, and ends those that were given up."""
        while self._incoming:
            entry = self._incoming.popleft()
            heapq.heappush(self._queue, (entry.running.request.priority, entry.number, entry))
            self._n_timed += entry.running.request.timeout is not None
        while self._aborted:
            number, error = self._aborted.popleft()
            if number in self._running:
                self._send(self._running[number].abort(error))
                self._retire()
            else:
                self._drop_waiting([entry for *_, entry in self._queue if entry.number == number], error)

    def _sweep(self) -> None:
        """Ends what was given up while another thread made a step; that thread sweeps after its step."""
        while self._aborted and self._lock.acquire(blocking=False):
            try:
                if self._stepping:  # this thread makes it, and aborts from inside
                    return
                self._take_in()
            finally:
                self._lock.release()

    def _end_late(self) -> None:
        """Ends the requests whose time is over."""
        now = monotonic()
        late = [number for number, entry in self._entries.items() if entry.is_late(now)]
        for number in late:
            self._send(self._running[number].abort(self._entries[number].lateness()))
        if late:
            self._retire()
        for entry in [entry for *_, entry in self._queue if entry.is_late(now)]:
            self._drop_waiting([entry], entry.lateness())

    def _drop_waiting(self, unwanted: Sequence[Entry], error: Exception | None) -> None:
        for entry in unwanted:
            entry.running.abort(error)
            entry.notify()
        self._queue[:] = [item for item in self._queue if not item[2].running.is_finished]
        heapq.heapify(self._queue)

    def _begin_waiting(self) -> None:
        """Begins waiting requests, in order, as long as there is room."""
        most, tokens = self._limits
        while self._queue and len(self._running) < most:
            entry = self._queue[0][2]
            needed = entry.running.n_cached_tokens()
            if tokens is not None and self._running and self.n_cached_tokens + needed > tokens:
                return
            heapq.heappop(self._queue)
            self._running[entry.number] = entry.running
            self._entries[entry.number] = entry
            for session in entry.running.sessions:
                self._sessions[session] = entry
            self._deliver(entry, None)

    def _events(self) -> list[Event]:
        found = []
        for number, entry in list(self._watched.items()):
            event = entry.event()
            if event is not None:
                found.append(event)
            if entry.running.is_finished:
                del self._watched[number]
        return found

    def _settings(
        self,
        rule: Any = None,
        alignment: Alignment | None = None,
        granularity: Granularity | None = None,
        prefix: Prefix | None = None,
    ) -> Settings:
        costs = [PassCost.of_runner(member.runner) for member in self.members]
        batches = [member.runner.batches_paths for member in self.members]
        concurrent, drafts = self._executor.concurrent, self._drafts

        def speculation(numbers: tuple[int, ...]) -> Speculation:
            # Each text has drafts of its own: what the texts before it have shown must not change its passes.
            own_costs, own_batches = [costs[n] for n in numbers], [batches[n] for n in numbers]
            return Speculation(own_costs, own_batches, drafts=drafts, concurrent=concurrent)

        rule = self.rule if rule is None else as_rule(rule)
        alignment = self.alignment if alignment is None else alignment
        check_choice("alignment", alignment, ("aligned", "shortest"))
        granularity = self._granularity if granularity is None else granularity
        granularity = granularity_of(rule) if granularity is None else granularity
        check_choice("granularity", granularity, GRANULARITIES)
        prefix = self.prefix if prefix is None else prefix
        check_choice("prefix", prefix, PREFIXES)
        return Settings(rule, alignment == "aligned", granularity, prefix == "likelier", concurrent, speculation)

    # Processes: threads and locks do not come along into a forked child.

    def _begin_process(self) -> None:
        self._process = os.getpid()
        # A signal handler may close the engine while its own thread makes a step.
        self._lock = threading.RLock()
        self._queue: list[tuple[int, int, Entry]] = []
        self._incoming: deque[Entry] = deque()
        self._aborted: deque[tuple[int, Exception | None]] = deque()
        self._replies: deque[Reply] = deque()
        self._n_timed = 0  # requests with a timeout that were ever queued
        self._running: dict[int, Running] = {}
        self._entries: dict[int, Entry] = {}
        self._sessions: dict[int, Entry] = {}
        self._watched: dict[int, Entry] = {}

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            self._process = os.getpid()
            self._lock, self._stepping, self._ended = threading.RLock(), False, False
            self._executor = self._executor.forked()

    def _check_open(self) -> None:
        self._check_process()
        if self._closed:
            raise FusionError("the engine was closed; it takes no request")


class Entry:
    """A request in an engine.

    Attributes:
        number: its id.
        running: the state machine.
        listener: called without arguments, by the thread that makes steps, when something has changed; or None.
    """

    def __init__(self, number: int, running: Running) -> None:
        self.number, self.running = number, running
        self.listener: Callable[[], None] | None = None
        self._began = monotonic()
        self._told = 0

    def __repr__(self) -> str:
        return f"Entry({self.number}, {self.running!r})"

    def notify(self) -> None:
        """Calls the listener."""
        if self.listener is not None:
            self.listener()

    def is_late(self, now: float) -> bool:
        """Returns whether the request's time is over."""
        timeout = self.running.request.timeout
        return timeout is not None and now - self._began > timeout

    def lateness(self) -> RequestTimeoutError:
        """Returns the error of a request whose time is over."""
        return RequestTimeoutError(f"the request did not end within its timeout of {self.running.request.timeout} s")

    def event(self) -> Event | None:
        """Returns what became known since the last call, or None."""
        steps = tuple(self.running.steps[self._told :])
        self._told += len(steps)
        if not steps and not self.running.is_finished:
            return None
        output = self.running.output if self.running.is_finished else None
        return Event(self.number, steps, output, self.running.error)


def _executor(members: Sequence[Member], pass_timeout: float | None) -> Executor:
    """Returns the executor for this process: a thread for each device if there are several, or a time limit."""
    if pass_timeout is not None or len({member.runner.device for member in members}) > 1:
        return ThreadExecutor(members, pass_timeout)
    return InlineExecutor(members)
