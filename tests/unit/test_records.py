from __future__ import annotations

import json
import math

from coolfusion.records import Output, Score, to_jsonable


def test_a_score_begins_with_the_sum_and_the_number_of_tokens():
    logprob, n_tokens, *_ = Score(-1.5, 3, 7)
    assert (logprob, n_tokens) == (-1.5, 3)
    assert Score(-1.5, 3) == (-1.5, 3, 0, None, None)


def test_records_become_strict_json_also_where_numbers_are_not_finite():
    output = Output("ä", (), None, ())
    value = to_jsonable([output, Score(-math.inf, 1), (math.nan, 2.5)])
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    assert json.loads(text)[0]["text"] == "ä"
    assert value[1] == {"logprob": None, "n_tokens": 1, "n_bytes": 0, "boundary_logprob": None, "start_logprob": None}
    assert value[2] == [None, 2.5]
