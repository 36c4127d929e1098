"""Language models: the protocol, a scripted model for tests, and the runner of transformers models.

Nothing here imports torch or transformers before a model is loaded.
"""

from coolfusion.models.base import Context, LanguageModel
from coolfusion.models.forgetful import ForgetfulModel
from coolfusion.models.scripted import ScriptedModel

__all__ = ["Context", "ForgetfulModel", "LanguageModel", "ScriptedModel"]
