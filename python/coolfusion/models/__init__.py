"""Models that can be a member of a fusion: the protocol and two implementations.

Nothing here imports torch or transformers before a model is loaded.
"""

from coolfusion.models.base import Context, LanguageModel
from coolfusion.models.scripted import ScriptedModel

__all__ = ["Context", "LanguageModel", "ScriptedModel"]
