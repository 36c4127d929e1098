"""The engine writes any number of requests, which join and leave at any step and share the passes of every model.

`add` checks a request and puts it in a queue. When there is room, `step` begins it. Commands go to the executor,
replies come back, and the request's next commands follow, until it is finished. Every call to `step` advances all
requests, from whichever thread they came.
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
    """The news of one request, which are its new steps and its end.

    Attributes:
        request_id: the id of the request.
        steps: the steps since the last event.
        output: the text with all its steps, if the request has ended; None before.
        error: the error that ended the request, or None.
    """

    request_id: int
    steps: tuple[Step, ...]
    output: Output | None
    error: Exception | None


class FusionEngine:
    """An engine that writes any number of texts at a time with the same members.

    One thread at a time makes a step. Any thread may add and abort requests.

    Args:
        members: the members, each with a runner of its own.
        alignment: "aligned" ends segments where the tokenizers of all members have a boundary, "shortest" where the
            writing member has one.
        granularity: the unit of text that one segment is: "word", "pre_token", "phrase", "sentence" or "line". None
            takes pre-tokens for rules that count the end of a segment, and words for others.
        prefix: "always" puts the prefix of a tokenizer, mostly BOS, before every prompt. "likelier" leaves it out if a
            member finds the prompt likelier without it, for one more reading of the prompt.
        rule: the selection rule, or its name.
        drafts: number of words that the leader writes ahead, 0 for none. None adapts it, because longer drafts pay
            only if the members mostly agree.
        executor: the executor that runs the members. None takes one for this process.
        pass_timeout: seconds that a pass of a model may take, or None. Only with `executor=None`.
        max_concurrent_requests: number of requests that are written at the same time. Others wait in order.
        max_cached_tokens: most tokens that the caches of all requests and members may hold together, or None.

    Raises:
        NoModelsError: there are no members.
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
        """Returns the number of requests that are being written."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """Returns the number of requests that wait for room."""
        return len(self._queue) + len(self._incoming)

    @property
    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of the running requests may hold at their ends."""
        # A copy, because another thread may be making a step.
        return sum(request.n_cached_tokens() for request in tuple(self._running.values()))

    @property
    def max_concurrent_requests(self) -> int:
        """Returns the most requests that are written at the same time."""
        return self._limits[0]

    def add(self, request: Request) -> int:
        """Adds a request and returns its id; `step` returns its steps and its output.

        Args:
            request: the request.

        Returns:
            the id of the request.

        Raises:
            FusionError: the engine was closed.
            ArgumentError: the prompt has a wrong form, or is larger than `max_cached_tokens` allows.
            EmptyPromptError: a member has no token to start from.
            UnrepresentableTextError: a member cannot represent the prompt.
            PromptTooLongError: a prompt is longer than a member's limit, and `overlong` is "error".

        Complexity: the encoding of the prompt by each member.
        """
        entry = self.open(request)
        self._watched[entry.number] = entry
        return self.submit(entry)

    @property
    def granularity(self) -> Granularity:
        """Returns the unit of text that one segment is, under the rule of the engine."""
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
        """Checks a request without adding it, and returns the entry for `submit`.

        Args:
            request: the request. A tuple of prompts has one for each member of the engine.
            where: the text before messages that names the prompt, for example "prompt 3: ".
            members: numbers of the members that write it, in ascending order; None takes all.
            rule: the selection rule. None takes that of the engine.
            alignment: the tokenizers that end segments, as in the constructor. None takes that of the engine.
            granularity: the unit of text that one segment is. None takes that of the engine.
            prefix: the rule for BOS before a prompt, as in the constructor. None takes that of the engine.

        Raises:
            ArgumentError: `request` is no `Request`, the rule or alignment is unknown, or a number is no member's.
                Else as `add`.

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
        """Adds work of another kind, for example the scores of whole texts, which `step_until` runs to its end.

        Args:
            make: a function from the number of a new session to the state machine of the work.

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
        """Adds a request that `open` has checked, and returns its id."""
        self._check_open()
        self._incoming.append(entry)
        return entry.number

    def abort(self, request_id: int, error: Exception | None = None) -> None:
        """Ends a request and frees its memory, at once or after the step that is being made.

        Args:
            request_id: the id of the request. Nothing happens if it has ended.
            error: the error for its event, or None.
        """
        self._aborted.append((request_id, error))
        self._sweep()

    @property
    def has_unfinished(self) -> bool:
        """Returns whether any request is running or waiting."""
        return bool(self._running or self._queue or self._incoming)

    def step(self) -> list[Event]:
        """Advances all requests until a member has answered, and returns the events of requests that were added.

        Returns:
            one event for each request with new steps or an end.

        Raises:
            FusionError: the engine was closed, or this thread is making a step already.
            KeyboardInterrupt: the user interrupted. A request whose step was being decided ends with an error, and all
                others can continue.

        Complexity: at most one pass of one member, or of each device.
        """
        self._check_open()
        with self._lock:
            self._step()
            events = self._events()
        self._sweep()
        return events

    def step_until(self, done: Callable[[], bool]) -> None:
        """Makes steps of all requests until `done` returns True, in turn with other threads that call it.

        Args:
            done: a function that returns True when the steps are to end.

        Raises:
            FusionError: no request is left that could make `done` True, or this thread is making a step already.
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
        """Ends all requests, and the executor with its threads or processes; a later `add` raises FusionError.

        A call inside a step of the same thread, for example by a signal handler, takes effect after that step.
        """
        self._closed = True
        if os.getpid() != self._process:
            return  # the executor belongs to the parent
        with self._lock:
            if not self._stepping:
                self._end_all()

    # A step.

    def _end_all(self) -> None:
        """Ends the requests and the executor of a closed engine, once."""
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
        """Makes a step. The caller holds the lock."""
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
        """Hands a reply to a request, or starts it, and sends its commands. An interrupt there ends the request."""
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
        """Removes finished requests."""
        for number in [number for number, running in self._running.items() if running.is_finished]:
            running = self._running.pop(number)
            for session in running.sessions:
                self._sessions.pop(session, None)
            self._entries[number].notify()
            del self._entries[number]
        if not self._running:
            self._executor.rest()

    def _take_in(self) -> None:
        """Queues new requests, and ends aborted ones."""
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
        """Ends requests that were aborted during another thread's step, which sweeps after its step."""
        while self._aborted and self._lock.acquire(blocking=False):
            try:
                if self._stepping:  # this thread makes it, and aborts from inside
                    return
                self._take_in()
            finally:
                self._lock.release()

    def _end_late(self) -> None:
        """Ends the requests whose timeout has passed."""
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
            # Each text has drafts of its own, because the texts before it must not change its passes.
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
        number: the id of the request.
        running: the state machine of the request.
        listener: a function that is called without arguments after each change, by the thread that makes steps; or
            None.
    """

    def __init__(self, number: int, running: Running) -> None:
        self.number, self.running = number, running
        self.listener: Callable[[], None] | None = None
        self._began = monotonic()
        self._told = 0

    def __repr__(self) -> str:
        return f"Entry({self.number}, {self.running!r})"

    def notify(self) -> None:
        """Calls the listener, if there is one."""
        if self.listener is not None:
            self.listener()

    def is_late(self, now: float) -> bool:
        """Returns whether the request's timeout has passed."""
        timeout = self.running.request.timeout
        return timeout is not None and now - self._began > timeout

    def lateness(self) -> RequestTimeoutError:
        """Returns the error of a request whose timeout has passed."""
        return RequestTimeoutError(f"the request did not end within its timeout of {self.running.request.timeout} s")

    def event(self) -> Event | None:
        """Returns the steps and the end since the last call, or None without any."""
        steps = tuple(self.running.steps[self._told :])
        self._told += len(steps)
        if not steps and not self.running.is_finished:
            return None
        output = self.running.output if self.running.is_finished else None
        return Event(self.number, steps, output, self.running.error)


def _executor(members: Sequence[Member], pass_timeout: float | None) -> Executor:
    """Returns the executor for this process, with a thread for each device if there are several or a time limit."""
    if pass_timeout is not None or len({member.runner.device for member in members}) > 1:
        return ThreadExecutor(members, pass_timeout)
    return InlineExecutor(members)
