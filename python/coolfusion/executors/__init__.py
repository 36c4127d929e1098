"""Executors: they carry commands to the members' workers and bring the replies, in this process or in others."""

from coolfusion.executors.base import Executor
from coolfusion.executors.inline import InlineExecutor
from coolfusion.executors.processes import ProcessExecutor
from coolfusion.executors.threads import ThreadExecutor

__all__ = ["Executor", "InlineExecutor", "ProcessExecutor", "ThreadExecutor"]
