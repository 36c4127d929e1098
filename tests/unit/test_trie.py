from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coolfusion.models.trie import Trie

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
def test_a_trie_knows_what_was_read(history):
    trie, twin = Trie[int](), Texts()
    trie.rows[()] = 0
    for what, wanted in history:
        if what == "extend":
            missing = trie.missing(wanted)
            assert len(missing) == len(set(missing))
            for at, path in enumerate(missing):
                assert not path or path[:-1] in trie or path[:-1] in missing[:at], "parents first"
                assert path not in trie
            trie.rows.update(dict.fromkeys(missing, 0))
            trie.unread = ()
            twin.extend(wanted)
            assert all(path in trie for path in wanted)
        else:
            trie.commit(wanted[0])
            twin.commit(wanted[0])
        for path in {(), *wanted, *trie.rows}:
            assert (path in trie) == twin.known(path), (what, path)
        assert trie.unread == () or () not in trie


def test_what_is_committed_unread_is_kept_for_the_next_pass():
    trie = Trie[str]()
    trie.rows.update({(): "a", (1,): "b"})
    trie.commit((1, 2, 3))
    assert trie.unread == (2, 3)
    trie.commit((4,))
    assert (trie.unread, trie.missing([(5,)])) == ((2, 3, 4), [(), (5,)])
