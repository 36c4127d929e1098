from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coolfusion.models.path_cache import PathLogits

paths = st.lists(st.integers(0, 2), max_size=4).map(tuple)


class Texts:
    """The obvious twin: every text that was read, whole."""

    def __init__(self):
        self.committed, self.read = (), {()}

    def known(self, path):
        return self.committed + path in self.read

    def extend(self, wanted):
        for path in ((), *wanted):
            whole = self.committed + path
            self.read |= {whole[:n] for n in range(len(whole) + 1)}

    def commit(self, path):
        self.committed += path
        if self.committed not in self.read:  # rows of other branches are lost with their cache
            self.read = {text for text in self.read if len(text) < len(self.committed)}


@given(st.lists(st.tuples(st.sampled_from(["extend", "commit"]), st.lists(paths, min_size=1, max_size=3)), max_size=12))
def test_a_path_is_computed_once_it_was_read(history):
    cache, twin = PathLogits[int](), Texts()
    cache.rows[()] = 0
    for what, wanted in history:
        if what == "extend":
            missing = cache.missing(wanted)
            assert len(missing) == len(set(missing))
            for at, path in enumerate(missing):
                assert not path or path[:-1] in cache or path[:-1] in missing[:at], "parents first"
                assert path not in cache
            cache.rows.update(dict.fromkeys(missing, 0))
            cache.uncomputed_ids = ()
            twin.extend(wanted)
            assert all(path in cache for path in wanted)
        else:
            cache.commit(wanted[0])
            twin.commit(wanted[0])
        for path in {(), *wanted, *cache.rows}:
            assert (path in cache) == twin.known(path), (what, path)
        assert cache.uncomputed_ids == () or () not in cache


def test_what_is_committed_unread_is_kept_for_the_next_pass():
    cache = PathLogits[str]()
    cache.rows.update({(): "a", (1,): "b"})
    cache.commit((1, 2, 3))
    assert cache.uncomputed_ids == (2, 3)
    cache.commit((4,))
    assert (cache.uncomputed_ids, cache.missing([(5,)])) == ((2, 3, 4), [(), (5,)])
