"""Reads the headers of a folder's safetensors files, without any weight.

A header is JSON with each tensor's name, dtype, shape and place. So these are found before anything is allocated:

- a missing shard;
- a file that was cut off;
- a configuration that describes another model than the one that lies there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.errors import ModelError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# The format allows no longer header.
LONGEST_HEADER = 100_000_000
EXPERT = re.compile(r"(.*experts\.)(\d+)\.(.*)")


class Held(NamedTuple):
    """The tensors of a checkpoint.

    Attributes:
        shapes: of each tensor.
        n_bytes: of all of them.
    """

    shapes: dict[str, tuple[int, ...]]
    n_bytes: int

    @property
    def longest(self) -> int:
        """Returns the largest dimension of any tensor."""
        return max((size for shape in self.shapes.values() for size in shape), default=0)


def read_headers(folder: Path) -> Held | None:
    """Returns the headers of the weights that transformers would read; None where it would read files of other names.

    Raises:
        ModelError: a file is missing, cut off, or no safetensors file.
    """
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        files = [folder / WEIGHTS]
    elif index.is_file():
        files = _shards(index)
    else:
        return None
    shapes: dict[str, tuple[int, ...]] = {}
    n_bytes = 0
    for file in files:
        found, size = _read(file)
        shapes |= found
        n_bytes += size
    if index.is_file() and files != [folder / WEIGHTS]:
        lost = sorted(set(_weight_map(index)) - set(shapes))
        if lost:
            raise ModelError(f"{index}: names weights that its files do not hold: {name_some(lost)}")
    return Held(shapes, n_bytes)


def lost_beside_others(held: Held) -> list[str]:
    """Returns names that stand nowhere though every other expert of the checkpoint has one like it."""
    endings: dict[tuple[str, str], set[str]] = {}
    experts: dict[str, set[str]] = {}
    for name in held.shapes:
        found = EXPERT.fullmatch(name)
        if found:
            block, number, ending = found.groups()
            endings.setdefault((block, number), set()).add(ending)
            experts.setdefault(block, set()).add(ending)
    return sorted(
        f"{block}{number}.{ending}" for (block, number), own in endings.items() for ending in experts[block] - own
    )


def name_some(names: list[str], count: int = 4) -> str:
    """Returns the first names and the number of all."""
    shown = ", ".join(names[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more ({len(names)} in all)"


def read_json_object(file: Path) -> dict[str, Any]:
    """Returns the object of a JSON file.

    Raises:
        ModelError: it holds something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise ModelError(f"{file}: not JSON: {err}") from err
    except OSError as err:
        raise ModelError(f"{file}: cannot be read: {err}") from err
    if not isinstance(found, dict):
        raise ModelError(f"{file}: holds {type(found).__name__} {str(found)[:40]!r}; expected a JSON object")
    return found


def _weight_map(index: Path) -> dict[str, str]:
    found = read_json_object(index).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(file, str) for file in found.values()) or not found:
        raise ModelError(f"{index}: weight_map is {str(found)[:60]!r}; expected an object of weights and file names")
    return found


def _shards(index: Path) -> list[Path]:
    names = sorted(set(_weight_map(index).values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise ModelError(f"{index}: names the file {outside[0]!r}; expected files of the same folder")
    lost = [name for name in names if not (index.parent / name).is_file()]
    if lost:
        raise ModelError(f"{index.parent}: {len(lost)} of {len(names)} files of weights are missing: {name_some(lost)}")
    return [index.parent / name for name in names]


def _read(file: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Returns the shapes and bytes of one file."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
                raise ModelError(f"{file}: no safetensors file, or cut off: {size} bytes do not hold its header")
            header: Any = json.loads(opened.read(length))
    except OSError as err:
        raise ModelError(f"{file}: cannot be read: {err}") from err
    except (ValueError, RecursionError) as err:
        raise ModelError(f"{file}: no safetensors file: its header is not JSON: {err}") from err
    shapes: dict[str, tuple[int, ...]] = {}
    end = 0
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            shapes[name] = tuple(int(each) for each in entry["shape"])
            end = max(end, int(entry["data_offsets"][1]))
    except (AttributeError, LookupError, TypeError, ValueError) as err:
        raise ModelError(f"{file}: no safetensors file: its header does not list tensors: {err}") from err
    if any(each < 0 for shape in shapes.values() for each in shape):
        raise ModelError(f"{file}: no safetensors file: its header has a shape with a negative number")
    if 8 + length + end != size:
        raise ModelError(f"{file}: {size} bytes, and its header tells of {8 + length + end}: cut off or changed")
    return shapes, end
