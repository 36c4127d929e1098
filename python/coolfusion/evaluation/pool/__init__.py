"""The check of a pool: whether fusing its members pays on some data, and how to do it."""

from coolfusion.evaluation.pool.check import Checked, check_next_words, check_steps, check_task
from coolfusion.evaluation.pool.report import PoolReport
from coolfusion.evaluation.pool.verdict import Verdict

__all__ = ["Checked", "PoolReport", "Verdict", "check_next_words", "check_steps", "check_task"]
