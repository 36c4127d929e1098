"""Where each of the 91 cases of tokenizer-cases.jsonl is answered.

An answer is the file (from ``tests/``) with a test whose name begins with ``test_case_`` and names the case, or the
reason why there is nothing to test. ``test_tokenizer_cases.py`` checks that the table and the tests agree.
"""

from __future__ import annotations

HERE = "cases/test_tokenizer_cases.py"

_APPEND = [f"B{number:02}" for number in range(1, 27)]
_HERE = [
    *(f"A{number:02}" for number in range(1, 17)),
    *(f"C{number:02}" for number in range(1, 16)),
    *(f"D{number:02}" for number in range(1, 6)),
    *("E01", "E04", "E09"),
]

ANSWERED: dict[str, str] = {
    **dict.fromkeys(_APPEND + _HERE, HERE),
    "E02": "unit/test_schedule.py",
    "E03": "unit/test_fusion.py",
    "E05": "unit/test_schedule.py",
    "E06": "unit/test_schedule.py",
    "E07": "unit/test_fusion.py",
    "E08": "unit/test_fusion.py",
    "F01": "unit/test_selection.py",
    "F02": "unit/test_selection.py",
    "F03": "unit/test_selection.py",
    "F04": "unit/test_fusion.py",
    "F05": "unit/test_schedule.py",
    "F06": "unit/test_fusion.py",
    "F07": "unit/test_fusion.py",
    "F08": "unit/test_fusion.py",
    "F09": "unit/test_schedule.py",
    "F10": "unit/test_schedule.py",
    "F11": "unit/test_selection.py",
    "F12": "unit/test_architectures.py",
    "G01": "unit/test_architectures.py",
    "G02": "properties/test_schedules.py",
    "G03": "unit/test_stops.py",
    "G04": "unit/test_fusion.py",
    "G05": "unit/test_fusion.py",
    "G06": "unit/test_failures.py",
    "G07": "unit/test_fusion.py",
    "G08": "unit/test_fusion.py",
}

# Names of the cases -> names of the test data.
TOKENIZERS = {
    "glm4-regex(cl100k ranks)": "cl100k",
    "gpt2(phi-2 json)": "gpt2",
    "neox(pythia)": "gpt_neox",
    "phi3": "phi3_mini",
    "t5": "t5_small",
    "xlnet": "xlnet_base_cased",
}

# The data hold GPT-2 itself; Phi-2's file, which the cases saw, has runs of spaces as tokens besides.
OTHER_FILES = {"gpt2(phi-2 json)"}

# The file that the cases saw has no dummy prefix, that of the data has one: their tokens are those after other text.
WITHOUT_PREFIX = {"chatglm3"}

# Tokenizers of the cases that the data do not hold, with what stands in for them.
ABSENT = {"sp_ja_unigram": "SentencePiece's Japanese test model; C13 and B17 are answered with ai21_j2, t5 and xlnet"}
