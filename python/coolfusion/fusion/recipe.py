"""Recipes for the fusion of a pool, each a small JSON file that `coolfusion pool` writes.

A recipe holds plain values and no code::

    {"format": "coolfusion-recipe", "version": 1,
     "members": [{"name": "smollm2"}, {"name": "gemma"}],
     "rule": {"kind": "primary", "margin": 0.5, "member": "gemma", "rule": {"kind": "power_mean"}},
     "alignment": "aligned", "granularity": "word", "prefix": "always", "rerank": false, "measured": {}}

A primary member and its margin are part of the rule. `measured` holds the measurement that led to the choice, and
decides nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion.fields import Fields
from coolfusion.fusion.options import PREFIXES, Alignment, Prefix
from coolfusion.fusion.selection import rule_from_spec, spec_of
from coolfusion.members.endings import GRANULARITIES, Granularity

FORMAT = "coolfusion-recipe"
VERSION = 1
Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe for the fusion of a pool, which is its members, its rule and its settings.

    Attributes:
        members: the names of the members, which are those of the folders of their models.
        rule: the spec of the selection rule, with all of its parameters.
        alignment: the tokenizers that end segments, "aligned" or "shortest".
        granularity: the unit of text that one segment is.
        prefix: the rule for BOS before a prompt, "always" or "likelier".
        rerank: whether `generate` reranks if its caller does not say.
        measured: plain values about the measurement that led to the recipe.

    Raises:
        ArgumentError: no members, or a rule that no spec describes.

    Example:
        >>> Recipe(("a", "b"), {"kind": "power_mean", "exponent": 1.0}).rule["unsure_below"]
        0.15
    """

    members: tuple[str, ...]
    rule: Mapping[str, Any]
    alignment: Alignment = "aligned"
    granularity: Granularity = "word"
    prefix: Prefix = "always"
    rerank: bool = False
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.members:
            raise ArgumentError("recipe.members is empty; expected at least one name")
        object.__setattr__(self, "rule", spec_of(rule_from_spec(self.rule, "recipe.rule")))

    def check_names(self, names: Sequence[str]) -> None:
        """Raises ArgumentError unless the models have the names of the recipe's members, in any order.

        Args:
            names: names of models.
        """
        if Counter(names) != Counter(self.members):
            one, other = list(self.members), list(names)
            raise ArgumentError(f"recipe.members are {one}, and the models are {other}; expected a model for each")

    def as_dict(self) -> dict[str, Any]:
        """Returns the recipe as plain values of JSON, which `read_recipe` takes back."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "members": [{"name": name} for name in self.members],
            "rule": dict(self.rule),
            "alignment": self.alignment,
            "granularity": self.granularity,
            "prefix": self.prefix,
            "rerank": self.rerank,
            "measured": dict(self.measured),
        }

    def write(self, path: str | Path) -> None:
        """Writes the recipe to a file.

        Args:
            path: the file.

        Raises:
            ArgumentError: it cannot be written.
        """
        text = json.dumps(self.as_dict(), indent=2, allow_nan=False)
        try:
            Path(path).write_text(text + "\n", encoding="utf-8")
        except OSError as err:
            raise ArgumentError(f"{path}: cannot be written ({err.strerror}); expected a file for the recipe") from err


def read_recipe(source: Source | Recipe) -> Recipe:
    """Returns a recipe from a file, or from a plain object of JSON.

    Args:
        source: the path of a file, an object, or a recipe as it is.

    Raises:
        ArgumentError: the file cannot be read or is no JSON. Or a field is missing, unknown or wrong, and the message
            has the file and the path of the field.

    Example:
        >>> read_recipe(Recipe(("a",), {"kind": "power_mean"}).as_dict()).members
        ('a',)
    """
    if isinstance(source, Recipe):
        return source
    if isinstance(source, Mapping):
        return _recipe(source, "recipe")
    if not isinstance(source, str | Path):
        raise ArgumentError(f"recipe must be a file, an object or a Recipe, not {source!r:.60}")
    try:
        value = json.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as err:
        raise ArgumentError(f"{source}: cannot be read ({err.strerror}); expected a recipe") from err
    except (ValueError, RecursionError) as err:  # no UTF-8 and no JSON are of this kind
        raise ArgumentError(f"{source}: no JSON ({err}); expected a recipe") from err
    try:
        return _recipe(value, "recipe")
    except ArgumentError as err:
        raise ArgumentError(f"{source}: {err}") from err


def _recipe(value: Any, where: str) -> Recipe:
    fields = Fields(value, where)
    fields.choice("format", (FORMAT,))
    version = fields.take("version")
    if version != VERSION or isinstance(version, bool):
        raise fields.wrong("version", version, str(VERSION))
    given = fields.take("members")
    if not isinstance(given, list | tuple):
        raise fields.wrong("members", given, "a list of objects with a name")
    members = [_name(each, f"{fields.path('members')}[{at}]") for at, each in enumerate(given)]
    rule = fields.take("rule")
    alignment = fields.choice("alignment", ("aligned", "shortest"), "aligned")
    granularity = fields.choice("granularity", GRANULARITIES, "word")
    prefix = fields.choice("prefix", PREFIXES, "always")
    rerank, measured = fields.flag("rerank", False), fields.take("measured", {})
    if not isinstance(measured, Mapping):
        raise fields.wrong("measured", measured, "an object")
    fields.end()
    return Recipe(tuple(members), rule, alignment, granularity, prefix, rerank, measured)


def _name(value: Any, where: str) -> str:
    fields = Fields(value, where)
    name: str = fields.text("name")
    fields.end()
    return name
