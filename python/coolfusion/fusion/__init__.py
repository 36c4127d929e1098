"""The fusion of several members: requests, the engine that writes them, selection rules, and the paper's plain loop."""

from coolfusion.fusion.engine import Event, FusionEngine
from coolfusion.fusion.fusion import Fusion
from coolfusion.fusion.generation import AsyncGeneration, Generation
from coolfusion.fusion.options import Request
from coolfusion.fusion.reasoning import Think
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.selection import SelectionRule, StepView
from coolfusion.members.member import Member

__all__ = [
    "AsyncGeneration",
    "Event",
    "Fusion",
    "FusionEngine",
    "Generation",
    "Member",
    "Request",
    "Rerank",
    "SelectionRule",
    "StepView",
    "Think",
]
