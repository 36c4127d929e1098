"""The process executor, in which each member computes in a new process of its own, which loads its own model.

Commands and replies of this library cross between the processes, over a pipe that only these two hold.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, NamedTuple, NoReturn

from coolfusion._core import Tokenizer
from coolfusion.errors import CoolFusionError, FusionError, ModelError
from coolfusion.executors.inline import advanced
from coolfusion.executors.lanes import Advanced, LaneExecutor, MemberLost
from coolfusion.members.commands import Command, Reply
from coolfusion.members.member import Member
from coolfusion.members.remote import ModelFacts, RemoteModel
from coolfusion.members.worker import ModelWorker

Source = Callable[[], Member]
SECONDS_TO_END = 5.0


class _Loaded(NamedTuple):
    """The report of a process on the member that it has loaded."""

    facts: ModelFacts
    tokenizer: Tokenizer
    prefix_ids: tuple[int, ...]


class ProcessWorker:
    """A worker in a process of its own."""

    def __init__(self, source: Source, number: int, pass_timeout: float | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._timeout, self._waiting = pass_timeout, list[Command]()
        self._busy = False
        self.name = f"member {number}"
        self.process = context.Process(target=_serve, args=(theirs, source, number), daemon=True)
        self.process.start()
        theirs.close()
        weakref.finalize(self, _end, self.process, self._pipe)

    def loaded(self) -> Member:
        """Waits until the process has loaded its member; returns the member as it is seen from here."""
        try:
            found: _Loaded = self._receive(None)
        except MemberLost as err:
            hint = 'a script that starts processes needs `if __name__ == "__main__":` around what it runs'
            raise ModelError(f"{err} before its member was loaded; {hint}") from err
        self.name = f"member {found.facts.name}"
        return Member(RemoteModel(found.facts), found.tokenizer, found.prefix_ids, found.facts.name)

    def meet(self, tokenizers: Sequence[Tokenizer]) -> None:
        """Sends the tokenizers of all members to the process."""
        self._pipe.send(("meet", list(tokenizers)))

    def send(self, command: Command) -> None:
        """Sends the command, or keeps it while a pass is being made, because a full pipe would block both sides."""
        self._waiting.append(command)
        if not self._busy:
            self._flush()

    def ask(self) -> None:
        """Has the process advance its tasks and, where no reply is ready, make the next pass."""
        self._flush()
        self._tell(("ask", None))
        self._busy = True

    def answer(self) -> Advanced:
        """Waits for the answer to `ask`."""
        found: Advanced = self._receive(self._timeout)
        self._busy = found.pass_seconds is not None
        return found

    def passed(self) -> list[Reply]:
        """Waits for the end of the pass."""
        found: list[Reply] = self._receive(self._timeout)
        self._busy = False
        return found

    def recover(self) -> None:
        """Waits until the process has answered everything, and has it begin all commands again."""
        self._tell(("recover", None))
        while self._receive(self._timeout) != "recovered":
            pass
        self._busy = False

    def stop(self) -> None:
        """Ends the process."""
        _end(self.process, self._pipe)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._tell(("deliver", waiting))

    def _tell(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # a process that has ended says so where its answer is waited for
            self._pipe.send(message)

    def _receive(self, timeout: float | None) -> Any:
        began = monotonic()
        try:
            while not self._pipe.poll(1.0 if timeout is None else timeout / 8):
                if timeout is not None and monotonic() - began > timeout:
                    _end(self.process, self._pipe, at_once=True)
                    raise MemberLost(f"{self.name}: a pass has not come back within the time limit of {timeout} s")
            found = self._pipe.recv()
        except (EOFError, OSError) as err:
            self.process.join(SECONDS_TO_END)
            raise MemberLost(f"{self.name}: its process ended with exit code {self.process.exitcode}") from err
        if isinstance(found, CoolFusionError):
            raise found
        return found


class ProcessExecutor(LaneExecutor):
    """Executes commands in one process for each member.

    Args:
        sources: one function for each member that loads and returns it; it must pickle, as functions of modules and
            `functools.partial` of them do.
        pass_timeout: seconds that a pass may take, or None. A process that takes longer is killed.
        parallel: whether members of one device compute at the same time too. Then passes are shared in another way than
            in one process, so in half precision another text may be written.

    Attributes:
        members: the members as they are seen from here; their models can be described and not called.

    Raises:
        ModelError: a process could not load its member.

    Example:
        ``executor = ProcessExecutor([load_a, load_b]); Fusion(executor.members, executor=executor)``
    """

    def __init__(self, sources: Sequence[Source], pass_timeout: float | None = None, *, parallel: bool = False) -> None:
        workers = [ProcessWorker(source, number, pass_timeout) for number, source in enumerate(sources)]
        try:
            self.members = tuple(worker.loaded() for worker in workers)
        except BaseException:
            for worker in workers:
                worker.stop()
            raise
        for worker in workers:
            worker.meet([member.tokenizer for member in self.members])
        super().__init__(self.members, workers, parallel=parallel)

    def forked(self) -> NoReturn:
        """Raises FusionError, because the processes belong to the parent."""
        raise FusionError("a forked child cannot use the processes of its parent; make a ProcessExecutor in the child")


def _end(process: Any, pipe: Connection, *, at_once: bool = False) -> None:
    with contextlib.suppress(OSError):
        pipe.close()  # a process that waits for orders ends with it
    if at_once:
        process.kill()
    with contextlib.suppress(AssertionError, ValueError):  # of a forked child, whose process it is not
        process.join(SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join(SECONDS_TO_END)


def _serve(pipe: Connection, source: Source, number: int) -> None:
    """Runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, which takes commands back
    try:
        member = source()
        facts = ModelFacts.of(member.runner, member.name)
        pipe.send(_Loaded(facts, member.tokenizer, member.prefix_ids))
        _, tokenizers = pipe.recv()
    except (EOFError, OSError):
        return
    except Exception as err:  # noqa: BLE001 - crosses over to the caller
        pipe.send(_portable(err))
        return
    tokenizers[number] = member.tokenizer
    _execute(pipe, ModelWorker(member, number, tokenizers))


def _execute(pipe: Connection, worker: ModelWorker) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            what, value = pipe.recv()
            if what == "deliver":
                for command in value:
                    worker.deliver(command)
            elif what == "recover":
                worker.recover()
                pipe.send("recovered")
            else:
                replies, seconds = advanced(worker)
                pipe.send(Advanced([_sendable(reply) for reply in replies], seconds))
                if seconds is not None:
                    worker.make_pass()
                    pipe.send([_sendable(reply) for reply in worker.settle()])


def _sendable(reply: Reply) -> Reply:
    return reply if reply.error is None else reply._replace(error=_portable(reply.error))


def _portable(error: Exception) -> CoolFusionError:
    """Returns the error in a form that pickles: our own errors as they are, with their cause in the message alone."""
    if isinstance(error, CoolFusionError):
        with contextlib.suppress(Exception):
            if type(pickle.loads(pickle.dumps(error))) is type(error):
                return error
    return ModelError(f"{type(error).__name__}: {error}")
