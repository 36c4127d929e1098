"""Compiled core of coolfusion; import the names from `coolfusion` instead.

This stub is the full reference. What ``help()`` shows is the first line of each docstring here, repeated in the Rust
sources; ``tests/test_contracts.py`` compares the two. Canonical, settled, word boundary and segment are defined in
``docs/definitions.md``.

Positions index what was passed in: characters for ``str``, bytes for ``bytes``; spans are half-open. Token ids are
``int`` from 0 to ``vocab_size - 1``; where many are taken, an array of any integer type is read through
the buffer protocol without an object an id, which is several times faster than a list. Examples run with
``import coolfusion as cf`` and ``from coolfusion import toy``.
"""

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, final, overload

import numpy
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Buffer

__all__ = [
    "Alignment",
    "Edit",
    "Segment",
    "Segmenter",
    "StreamDecoder",
    "StreamEncoder",
    "Tokenizer",
    "_Spec",
    "__version__",
    "_alignment",
    "_byte_alphabet",
    "_edit",
    "_segment",
    "_tokenizer",
    "_wrapped",
    "align",
    "common_boundaries",
]

__version__: str

# A list or any other iterable of int, or a one-dimensional array of integers (NumPy, array.array, memoryview).
_TokenIds: TypeAlias = Iterable[int] | Buffer
# What takes one text and many: a list or tuple of texts gives a list of answers.
_Texts: TypeAlias = list[str] | list[bytes] | list[str | bytes] | tuple[str | bytes, ...]

@final
class Tokenizer:
    """One tokenizer, whatever its file: exact bytes, canonical tokens, cuts that later text cannot move.

    It cannot be changed and may be shared by any number of threads, which run side by side. There is no constructor:
    use `from_file`, `from_pretrained` or `wrap`. It can be pickled, definition and all, without its file; a copy is the
    tokenizer itself.

    Example:
        >>> tok = toy.tokenizer()
        >>> tok
        Tokenizer("toy", vocab_size=269)
        >>> [tok.token_bytes(token_id) for token_id in tok.encode("the cat")]
        [b'the', b' cat']
    """

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, pattern: str | None = None) -> Tokenizer:
        """Loads a tokenizer file of any known format; the content decides which it is.

        Formats: tokenizer.json, SentencePiece .model, tiktoken ranks, tekken.json, vocab.json with merges.txt,
        vocab.txt, the RWKV world vocabulary, and the tokenizer in a GGUF file (its tensors are not read).

        Args:
            path: the file. A vocab.json finds the merges.txt in its folder, and the other way round.
            pattern: the split pattern where a file does not hold it (tiktoken ranks, vocab.json with merges.txt, a GGUF
                file with an unknown `tokenizer.ggml.pre`); None takes the known one of a known file.

        Returns:
            The tokenizer, named after the path. While it is in use, loading the same content from the same path again
            takes what is there already.

        Raises:
            TokenizerFileError: the file (or the one that belongs to it) is missing, empty, broken or of none of these
                formats, or needs a `pattern`.
            UnsupportedTokenizerError: the file asks for a stage that cannot be run here.

        Complexity:
            O(file), and a few hundred short encodings for the load probe; the second time a hash of the file.

        Example:
            >>> cf.Tokenizer.from_file("no/such/tokenizer.json")
            Traceback (most recent call last):
            ...
            coolfusion.errors.TokenizerFileError: no/such/tokenizer.json: cannot be read ...
        """

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | PathLike[str], *, trust_remote_code: bool = False, revision: str | None = None
    ) -> Tokenizer:
        """Loads the tokenizer of a model directory, of a tokenizer file, or of a name on the Hugging Face hub.

        A hub name becomes the folder of its files. In a folder the file that holds the vocabulary is the truth; its
        configuration files declare added tokens, `bos_id`, `eos_id`, `prefix_ids` and `chat_templates`. What they
        declare against the file does not hold, and a `CoolFusionWarning` says so. `Fusion.from_pretrained` loads in
        the same way. Only vocabularies that mean nothing without their class need transformers.

        Args:
            name_or_path: a directory, a file, or a hub name such as "gpt2".
            trust_remote_code: whether Python code that comes with a tokenizer may run.
            revision: branch, tag or commit of a hub name.

        Returns:
            The tokenizer, named after `name_or_path`.

        Raises:
            TokenizerFileError: there is no such directory, no vocabulary in it, or a field of a configuration file has
                a wrong type; names file, field, value and what was expected.
            UnsupportedTokenizerError: only transformers can read it, and that is not installed.

        Complexity:
            O(vocabulary).

        Example:
            >>> cf.Tokenizer.from_pretrained("./no-such-model")
            Traceback (most recent call last):
            ...
            coolfusion.errors.TokenizerFileError: ./no-such-model: no such file or directory...
        """

    @classmethod
    def wrap(cls, obj: Any, *, name: str | None = None) -> Tokenizer:
        """Makes a tokenizer that encodes and decodes as `obj` does, without BOS and END.

        The object's own definition is used where it has one, because that gives exact boundaries and streams in
        constant time; an object that offers only `encode` and `decode` works too, without a certificate
        (``describe()["window"]``).

        Args:
            obj: a transformers tokenizer (fast, slow or of remote code), a `tokenizers.Tokenizer`, a
                `tiktoken.Encoding`, a `SentencePieceProcessor`, a `Tokenizer` (returned as it is), or anything with
                `encode(text)` and `decode(ids)`.
            name: how errors and `describe` call it; None takes its own name, or that of its class.

        Returns:
            The tokenizer.

        Raises:
            UnsupportedTokenizerError: `obj` is none of these.
            TokenizerError: its definition is broken.

        Complexity:
            O(vocabulary).

        Example:
            >>> tok = toy.tokenizer()
            >>> cf.Tokenizer.wrap(tok) is tok
            True
        """

    # For the adapters and the toys; anyone else wants from_file or wrap.
    @staticmethod
    def _from_json(json_text: str, name: str) -> Tokenizer:
        """Loads the text of a tokenizer.json."""

    @staticmethod
    def _pattern_of_class(name: str) -> str | None:
        """Returns the split pattern of a class that reads tiktoken ranks or byte-level merges, or None."""

    @staticmethod
    def _from_sentencepiece(model: bytes, name: str) -> Tokenizer:
        """Loads the bytes of a SentencePiece model."""

    @staticmethod
    def _from_ranks(
        ranks: Sequence[tuple[bytes, int]], pattern: str, specials: Sequence[tuple[str, int]], name: str
    ) -> Tokenizer:
        """Loads tiktoken ranks, (bytes, id) each, with their split pattern and special tokens."""

    @staticmethod
    def _from_callables(
        encode: Callable[[str], list[int]],
        token_table: Sequence[bytes | None],
        control_ids: Sequence[int],
        drops: bool,
        first: Sequence[tuple[int, bytes]],
        name: str,
        notes: Sequence[str],
        *,
        control_tokens: Sequence[tuple[str, int]] = ...,
        object: Any = None,
    ) -> Tokenizer:
        """Uses an object through its `encode` alone; `token_table` holds the bytes of each id, None where unknown.

        `drops`: one space goes at the start of a text; `first`: ids with other bytes there.
        """

    def _declaring(
        self,
        bos_id: int | None,
        eos_id: int | None,
        prefix_ids: Sequence[int],
        chat_templates: dict[str, str],
    ) -> Tokenizer:
        """Returns the same tokenizer with what a folder declares: BOS, EOS, ids before a text, chat templates."""

    def _sections(self) -> tuple[list[tuple[int, str, bool, bool, bool]], bool]:
        """Returns added tokens (id, content, control, lstrip, rstrip), and whether a dummy prefix is added once.

        A text is read in sections between control tokens. Mistral's file adds the prefix to the first one alone.
        """

    def __copy__(self) -> Tokenizer: ...
    def __deepcopy__(self, _memo: Any, /) -> Tokenizer: ...
    def encode(
        self, text: str | bytes, *, continues: bool = False, errors: Literal["replace", "strict"] = "replace"
    ) -> list[int]:
        """Encodes the text only: no BOS or END is added, and text that looks like a control token is text.

        Args:
            text: what to encode; `bytes` must be UTF-8.
            continues: whether `text` stands behind other text, so that no dummy prefix is put before it.
            errors: "replace" lets the tokenizer put what it does in place of text that it cannot say (its unknown
                token, a normalised spelling); "strict" refuses such a text.

        Returns:
            The canonical ids.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate; the message says where.
            UnrepresentableTextError: `errors` is "strict" and decoding would give other bytes.
            ArgumentError: `text` or `errors` is none of the above.

        Complexity:
            O(text).

        Source:
            docs/definitions.md, canonical encoding.

        Example:
            >>> spaced = toy.spaced_tokenizer()
            >>> spaced.encode("the cat"), spaced.encode(" cat", continues=True)
            ([272, 274, 260], [274, 260])
            >>> toy.tokenizer().encode("<end>")
            [60, 101, 110, 100, 62]
        """

    def encode_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        continues: bool = False,
        errors: Literal["replace", "strict"] = "replace",
    ) -> list[list[int]]:
        """Encodes many texts, each as `encode` does, on all cores.

        Other Python threads run meanwhile. The environment variable RAYON_NUM_THREADS says how many threads work; a
        batch of a few kilobytes, a wrapped object without a definition of its own, and a process that was forked after
        its parent had used the threads work in the calling thread. One long text is not split.

        Args:
            texts: what to encode; `bytes` must be UTF-8.
            continues: as in `encode`, for all.
            errors: as in `encode`, for all.

        Returns:
            The canonical ids of each text.

        Raises:
            TextError: as `encode`; the message begins with the index of the text.
            UnrepresentableTextError: as `encode`, for the first text that is refused.
            ArgumentError: `texts` is a single text, or holds something else than texts.

        Complexity:
            O(texts), divided by the cores.

        Example:
            >>> toy.tokenizer().encode_batch(["the cat", "é"])
            [[257, 264], [195, 169]]
            >>> toy.tokenizer().encode_batch([b"the", b"caf\\xc3"])
            Traceback (most recent call last):
            ...
            coolfusion.errors.TextError: text 1: byte 3 of the text is not valid UTF-8: ...
        """

    def decode(self, token_ids: _TokenIds) -> str:
        """Decodes ids to text; control tokens stand for nothing, each ill-formed part becomes one U+FFFD.

        Args:
            token_ids: ids of this vocabulary, from the start of a text (a dummy prefix is dropped).

        Returns:
            The text.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message says at which position.
            ArgumentError: `token_ids` holds something else than integers, or is an array of several dimensions.

        Complexity:
            O(bytes of the text).

        Source:
            Unicode 15, section 3.9, U+FFFD substitution of maximal subparts.

        Example:
            >>> toy.tokenizer().decode([257, 264, 268])
            'the cat'
            >>> toy.tokenizer().decode([195])
            '\\ufffd'
        """

    def decode_batch(self, list_of_ids: Iterable[_TokenIds]) -> list[str]:
        """Decodes many lists of ids, each as `decode` does.

        One thread does it, because reading lists and making strings is most of the work and has to be done by one;
        other Python threads run meanwhile.

        Args:
            list_of_ids: lists or arrays of ids; the rows of a two-dimensional array.

        Returns:
            The text of each.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message says in which list and at which position.
            ArgumentError: an item holds something else than integers.

        Complexity:
            O(bytes of the texts).

        Example:
            >>> toy.tokenizer().decode_batch([[257, 264], [195]])
            ['the cat', '\\ufffd']
        """

    def decode_bytes(self, token_ids: _TokenIds) -> bytes:
        """Decodes ids to the bytes that they stand for, whether these are UTF-8 or not.

        Args:
            token_ids: ids of this vocabulary, from the start of a text (a dummy prefix is dropped).

        Returns:
            The bytes; control tokens stand for none.

        Raises:
            UnknownTokenError: an id is not in the vocabulary, or its bytes could not be found out.
            ArgumentError: `token_ids` holds something else than integers, or is an array of several dimensions.

        Complexity:
            O(bytes of the text).

        Example:
            >>> toy.tokenizer().decode_bytes([257, 195])
            b'the\\xc3'
        """

    def token_bytes(self, token_id: int) -> bytes:
        """Returns the bytes of one token, as it stands inside a text.

        Args:
            token_id: an id of this vocabulary.

        Returns:
            Its bytes: a dummy prefix is not dropped, and a control token has none.

        Raises:
            UnknownTokenError: the id is not in the vocabulary, or its bytes could not be found out.
            ArgumentError: `token_id` is no integer.

        Complexity:
            O(bytes of the token).

        Example:
            >>> toy.tokenizer().token_bytes(264), toy.tokenizer().token_bytes(195)
            (b' cat', b'\\xc3')
        """

    @overload
    def represents(self, text: str | bytes, *, continues: bool = False) -> bool: ...
    @overload
    def represents(self, text: _Texts, *, continues: bool = False) -> list[bool]:
        """Tells whether the tokenizer can say the text: decoding its encoding gives the same bytes.

        Args:
            text: the text, or a list or tuple of texts.
            continues: whether it stands behind other text.

        Returns:
            True if not a byte is lost or changed; of many texts a list.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate.

        Complexity:
            O(text).

        Source:
            docs/definitions.md, lossless.

        Example:
            >>> toy.tokenizer().represents("a\\u2581b"), toy.spaced_tokenizer().represents("a\\u2581b")
            (True, False)
        """

    @overload
    def word_boundaries(
        self, text: str | bytes, method: Literal["auto", "bytes", "word_ids", "offsets", "decode"] = "auto"
    ) -> list[int]: ...
    @overload
    def word_boundaries(
        self, text: _Texts, method: Literal["auto", "bytes", "word_ids", "offsets", "decode"] = "auto"
    ) -> list[list[int]]:
        """Finds the cuts before white space that no later text can move.

        A split at white space is not the same: a token may stand across it, and a text that goes on may change the
        tokens before it.

        Args:
            text: the text, or a list or tuple of texts, which are spread over the cores (`encode_batch`).
            method: how the cuts of the canonical encoding are found: "bytes" by the byte spans of the vocabulary,
                "word_ids" where the pre-token number changes, "offsets" by token offsets, "decode" by appending tokens
                until decoding and encoding again give the same, "auto" as ``describe()["method"]`` says. A method that
                has no information for this tokenizer finds nothing; none finds a cut that another denies.

        Returns:
            Interior positions, ascending, in the unit of `text`; of many texts a list of such lists.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate; of many texts the message says which.
            ArgumentError: `text` or `method` is none of the above.

        Complexity:
            O(text); "decode" encodes every prefix, O(text^2), and is there to compare with. So does "auto" for a
            wrapped object without a certificate.

        Source:
            arXiv 2407.19807 (the ways of LLaMA-3, LLaMA-2 and others); docs/definitions.md, word boundary.

        Example:
            >>> tok = toy.tokenizer()
            >>> tok.word_boundaries("the cat sat"), tok.word_boundaries(["the cat sat", "on"])
            ([3, 7], [[3, 7], []])
            >>> tok.word_boundaries("café au lait"), tok.word_boundaries("café au lait".encode())
            ([4, 7], [5, 8])
            >>> toy.spaced_tokenizer().word_boundaries("sat on the mat")
            [3, 10]
        """

    @overload
    def settled_cuts(self, text: str | bytes) -> list[int]: ...
    @overload
    def settled_cuts(self, text: _Texts) -> list[list[int]]:
        """Finds all cuts, before white space or not, that no later text can move and where encoding can start again.

        Args:
            text: the text, or a list or tuple of texts.

        Returns:
            Interior positions, ascending, in the unit of `text`; empty for a tokenizer without a certificate. Of many
            texts a list of such lists.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate.

        Complexity:
            O(text).

        Source:
            docs/definitions.md, settled cut.

        Example:
            >>> toy.tokenizer().settled_cuts("the cat sat!")
            [3, 7, 11]
            >>> toy.spaced_tokenizer().settled_cuts("the cat")
            [3, 6]
        """

    def describe(self) -> dict[str, Any]:
        """Says what the load probe found, and how boundaries and windows are found and why.

        Returns:
            A dictionary that can be written as JSON: `name`, `family`, `model`, `split_rule`, `normalizer`, `engine`,
            `lossless`, `lossless_but_for_space_mark`, `lost` (kinds of text that do not come back), `byte_map`,
            `dummy_prefix`, `decode_drops_first_space`, `method` and `why`, `methods`, `window`, `vocab_size`,
            `control_tokens`, `unused_ids`, `added_text_tokens`, `notes`.

        Complexity:
            O(vocabulary).

        Example:
            >>> found = toy.tokenizer().describe()
            >>> found["family"], found["lossless"], found["method"]
            ('byte-level BPE', True, 'bytes')
        """

    @property
    def vocab_size(self) -> int:
        """One past the largest id.

        Example:
            >>> toy.tokenizer().vocab_size
            269
        """

    @property
    def name(self) -> str:
        """The name that errors and `describe` use: the path, or what was given to `wrap`.

        Example:
            >>> toy.tokenizer().name
            'toy'
        """

    @property
    def control_ids(self) -> list[int]:
        """The ids that stand for no text, such as BOS and END, ascending.

        Example:
            >>> toy.spaced_tokenizer().control_ids
            [0, 1, 2]
        """

    @property
    def control_tokens(self) -> dict[str, int]:
        """What control tokens are called, and their ids.

        Example:
            >>> toy.spaced_tokenizer().control_tokens
            {'<unk>': 0, '<s>': 1, '<end>': 2}
        """

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text, as the folder says; None where it says nothing.

        Example:
            >>> toy.tokenizer().bos_id is None
            True
        """

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text, as the folder says; None where it says nothing.

        Example:
            >>> toy.tokenizer().eos_id is None
            True
        """

    @property
    def prefix_ids(self) -> list[int]:
        """The ids that the folder puts before every text, such as BOS; `encode` does not add them.

        Example:
            >>> toy.tokenizer().prefix_ids
            []
        """

    @property
    def chat_templates(self) -> dict[str, str]:
        """The chat templates of the folder by their names; the one without a name is "default".

        Example:
            >>> toy.tokenizer().chat_templates
            {}
        """

    @property
    def unused_ids(self) -> list[int]:
        """The ids below `vocab_size` that no token has, or whose bytes could not be found out, ascending.

        Example:
            >>> toy.tokenizer().unused_ids
            []
        """

@final
class StreamDecoder:
    """Turns ids into text one at a time; what it returned is never withdrawn.

    Decoding the growing list again at each id is slow and takes text back: a character whose bytes come in two tokens
    is first shown as U+FFFD. Here bytes that may still become a character wait. A stream has one owner: a call while
    another thread's call is at work raises `ConcurrentUseError` and changes nothing.

    Args:
        tokenizer: whose ids will be pushed.
        prompt_ids: ids that came before. The stream starts behind them, even inside a character, and owes only what
            follows; None is the start of a text.

    Raises:
        UnknownTokenError: a prompt id is not in the vocabulary.
        ArgumentError: `prompt_ids` holds something else than integers.

    Complexity:
        O(prompt) once; a call is O(bytes of the token), whatever came before.

    Source:
        docs/invariants.md, I6.

    Example:
        >>> decoder = cf.StreamDecoder(toy.tokenizer(), prompt_ids=[257, 195])
        >>> [decoder.push(token_id) for token_id in (169, 264)]
        ['é', ' cat']
    """

    def __new__(cls, tokenizer: Tokenizer, prompt_ids: _TokenIds = ()) -> StreamDecoder: ...
    def push(self, token_id: int) -> str:
        """Adds one id and returns the text that is now certain, which may be empty.

        Args:
            token_id: an id of the vocabulary; a control token stands for nothing.

        Returns:
            Text that follows what was returned before; each ill-formed part is one U+FFFD.

        Raises:
            UnknownTokenError: the id is not in the vocabulary; the stream is then as it was.
            ArgumentError: `token_id` is no integer.

        Complexity:
            O(bytes of the token).

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer())
            >>> [decoder.push(token_id) for token_id in (195, 169, 264)]
            ['', 'é', ' cat']
        """

    def extend(self, token_ids: _TokenIds) -> str:
        """Adds many ids and returns what `push` would return for each, joined.

        Args:
            token_ids: ids of the vocabulary.

        Returns:
            Text that follows what was returned before; each ill-formed part is one U+FFFD.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message names its position in `token_ids`. Nothing of
                this call is applied then: the stream is as it was, and nothing is owed for the ids before it.
            ArgumentError: `token_ids` holds something else than integers, or is an array of several dimensions.

        Complexity:
            O(bytes of the tokens). Of 12 ns a token from a list, reading the list is the half; an array is 5 ns.

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer())
            >>> decoder.extend([257, 195]), decoder.extend((169, 264))
            ('the', 'é cat')
            >>> from array import array
            >>> decoder.extend(array("I", [265, 266]))
            ' sat mat'
        """

    def flush(self) -> str:
        """Ends the text: bytes of an unfinished character become one U+FFFD.

        Returns:
            The rest of the text, mostly empty.

        Complexity:
            O(1).

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer())
            >>> decoder.push(195), decoder.flush()
            ('', '\\ufffd')
        """

    def __copy__(self) -> StreamDecoder: ...
    def __deepcopy__(self, _memo: Any, /) -> StreamDecoder: ...
    def fork(self) -> StreamDecoder:
        """Returns an independent copy, for trying a continuation.

        Complexity:
            O(1).

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer(), prompt_ids=[195])
            >>> decoder.fork().push(169), decoder.push(168)
            ('é', 'è')
        """

@final
class Edit:
    """What a push into a `StreamEncoder` changes: take `drop` ids from the end, then append `ids`.

    Complexity:
        The first look at `drop` or `ids` is O(ids that change) where the push did not have to make them.

    Example:
        >>> encoder = cf.StreamEncoder(toy.tokenizer())
        >>> encoder.push("the c")
        Edit(drop=0, ids=[257, 32, 99], lossless=True)
        >>> encoder.push("at")
        Edit(drop=2, ids=[264], lossless=True)
    """

    @property
    def drop(self) -> int:
        """How many ids at the end are no longer right.

        Example:
            >>> cf.StreamEncoder(toy.tokenizer()).push("the c").drop
            0
        """

    @property
    def ids(self) -> list[int]:
        """The ids that follow what is left.

        Example:
            >>> cf.StreamEncoder(toy.tokenizer()).push("the cat").ids
            [257, 264]
        """

    @property
    def lossless(self) -> bool:
        """Whether the ids of the window give back its text byte for byte.

        Example:
            >>> cf.StreamEncoder(toy.spaced_tokenizer()).push("a\\u2581b").lossless
            False
        """

@final
class StreamEncoder:
    """Turns text into ids piece by piece; after every push `ids` is the canonical encoding of all text so far.

    Appending text can change the last ids, so each push answers with an `Edit`. A window that begins at a settled cut
    is encoded again and compared with what is stored; if it proved too small, everything is encoded again and `widened`
    counts it. A stream has one owner (`ConcurrentUseError`).

    Args:
        tokenizer: whose ids are wanted.
        context_words: how many settled stretches (words, or less where cuts are closer) the window holds at least.

    Raises:
        ArgumentError: `context_words` is below 0.

    Complexity:
        A push is O(window + text), whatever came before, and in most long stretches without cuts O(text). It is
        O(all text) for a tokenizer without a certificate (``describe()["window"]["whole_text"]``).

    Source:
        arXiv 2407.19807 (k = 4 words); docs/definitions.md, window, and I7.

    Example:
        >>> encoder = cf.StreamEncoder(toy.tokenizer())
        >>> for piece in ("the c", "at sa", "t"):
        ...     edit = encoder.push(piece)
        >>> encoder.ids == toy.tokenizer().encode("the cat sat")
        True
    """

    def __new__(cls, tokenizer: Tokenizer, context_words: int = 4) -> StreamEncoder: ...
    def push(self, text: str | bytes) -> Edit:
        """Appends text and says how `ids` changed.

        Args:
            text: what follows; `bytes` may end inside a character, whose bytes then wait for the next call.

        Returns:
            The ids to drop and to append.

        Raises:
            TextError: `text` is not valid UTF-8 behind what waits, or holds a lone surrogate; the encoder is then as it
                was.
            ArgumentError: `text` is neither `str` nor `bytes`.

        Complexity:
            O(window + text).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> encoder.push(b"caf\\xc3").ids, encoder.push(b"\\xa9").ids
            ([99, 97, 102], [195, 169])
        """

    def peek(self, text: str | bytes) -> Edit:
        """Says what `push` would answer, and changes nothing.

        On a long stretch without settled cuts it reads the whole stretch, which `push` does not.

        Args:
            text: what might follow.

        Returns:
            The ids to drop and to append.

        Raises:
            TextError: as `push`.
            ArgumentError: as `push`.

        Complexity:
            O(window + text).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> encoder.peek("the cat").ids, encoder.ids
            ([257, 264], [])
        """

    @property
    def ids(self) -> list[int]:
        """The ids of all text so far; a new list each time, O(ids).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push("the cat")
            >>> encoder.ids
            [257, 264]
        """

    @property
    def text(self) -> str:
        """All text so far, without the bytes of an unfinished character.

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push(b"caf\\xc3")
            >>> encoder.text
            'caf'
        """

    @property
    def widened(self) -> int:
        """How often the window proved too small and all text was encoded again; 0 while the certificate holds.

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer(), context_words=0)
            >>> edits = [encoder.push(piece) for piece in ("the c", "at sa", "t")]
            >>> encoder.widened
            0
        """

    def __len__(self) -> int:
        """Returns the number of ids, in O(1).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push("the cat")
            >>> len(encoder)
            2
        """

    def __copy__(self) -> StreamEncoder: ...
    def __deepcopy__(self, _memo: Any, /) -> StreamEncoder: ...
    def fork(self) -> StreamEncoder:
        """Returns an independent copy, for trying a continuation.

        Complexity:
            O(text so far).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push("the c")
            >>> edit = encoder.fork().push("at")
            >>> encoder.text
            'the c'
        """

@final
class Segment:
    """A text segment and the tokens that said it.

    Example:
        >>> segmenter = cf.Segmenter(toy.tokenizer())
        >>> [segmenter.push(token_id) for token_id in (257, 264)]
        [None, Segment("the", token_ids=[257], end=False, level="word")]
    """

    @property
    def text(self) -> str:
        """The text; empty for END.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.text for segment in map(segmenter.push, (257, 264)) if segment]
            ['the']
        """

    @property
    def token_ids(self) -> list[int]:
        """The ids as they were pushed, which need not be canonical; the control token for END.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.token_ids for segment in map(segmenter.push, (256, 101, 264)) if segment]
            [[256, 101]]
        """

    @property
    def end(self) -> bool:
        """Whether this is END itself.

        Example:
            >>> cf.Segmenter(toy.tokenizer()).push(268).end
            True
        """

    @property
    def valid(self) -> bool:
        """Whether the generated bytes were UTF-8; if not, `text` holds a U+FFFD for each ill-formed part.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.valid for segment in map(segmenter.push, (257, 195, 264, 265)) if segment]
            [False]
        """

    @property
    def whole(self) -> bool:
        """Whether it ends at a stop of its granularity or before white space; END is whole.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.whole for segment in map(segmenter.push, (257, 264)) if segment], segmenter.finish().whole
            ([True], False)
        """

    @property
    def level(self) -> Literal["word", "pre_token", "token", "code_point", "rest", "end"]:
        """Why the segment ends where it does: a rung of the ladder of docs/definitions.md.

        Example:
            >>> cf.Segmenter(toy.tokenizer()).push(268).level
            'end'
        """

@final
class Segmenter:
    """Cuts generated tokens into text segments that end where all tokenizers can follow.

    A segment leaves as soon as it is known, with one token of look-ahead, which begins the next one. Scripts without
    spaces and very long words end at weaker cuts (`Segment.level`), at the hard cap at the latest; every segment has at
    least one byte, END apart.

    Args:
        tokenizer: whose ids will be pushed.
        align_with: other tokenizers that must have a cut there too; with none these are the shortest segments, with
            some the aligned ones. The order does not matter.
        prompt_ids: ids that came before; None is the start of a text.
        end_ids: ids that end the text. None means every control token but the unknown one, which text may hold. Other
            control tokens stand for no text and belong to the segment around them.
        max_bytes: the hard cap of a segment in bytes, at least 16. Only one single token can be longer. None takes 128
            for words and pre-tokens, 256 for phrases, 512 for sentences and lines.
        granularity: where segments want to end. "word" ends before white space, and "pre_token" also between a word and
            punctuation. "phrase" ends before white space after punctuation, "sentence" after a full stop, a question
            mark or an exclamation mark, and "line" at the end of a line.

    Raises:
        UnknownTokenError: a prompt id is not in the vocabulary.
        ArgumentError: `max_bytes` is below 16, an unknown granularity, or `prompt_ids` holds something else than
            integers.

    Complexity:
        O(prompt) once; a push is O(window) where a boundary is possible, O(bytes of the token) elsewhere, times the
        number of tokenizers.

    Source:
        arXiv 2407.19807 (shortest and aligned text segments); docs/definitions.md.

    Example:
        >>> tok = toy.tokenizer()
        >>> segmenter = cf.Segmenter(tok, align_with=[toy.spaced_tokenizer()])
        >>> [segment.text for segment in map(segmenter.push, tok.encode("the cat sat on the mat")) if segment]
        ['the', ' cat', ' sat', ' on the']
        >>> segmenter.finish().text
        ' mat'
    """

    def __new__(
        cls,
        tokenizer: Tokenizer,
        align_with: Sequence[Tokenizer] = ...,
        prompt_ids: _TokenIds = (),
        *,
        end_ids: _TokenIds | None = None,
        max_bytes: int | None = None,
        granularity: Literal["word", "pre_token", "phrase", "sentence", "line"] = "word",
    ) -> Segmenter: ...
    def push(self, token_id: int) -> Segment | None:
        """Adds one generated id and returns a segment if one is known now.

        An END id ends the text: what is pending leaves first, and `finish` returns the rest up to END.

        Args:
            token_id: an id of the vocabulary.

        Returns:
            The next segment, or None.

        Raises:
            UnknownTokenError: the id is not in the vocabulary; the segmenter is then as it was.
            ArgumentError: `token_id` is no integer, or the text has ended (`restart` first).

        Complexity:
            O(window) where a boundary is possible, O(bytes of the token) elsewhere.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segmenter.push(token_id) for token_id in (257, 264, 268)]
            [None, Segment("the", token_ids=[257], end=False, level="word"), Segment(" cat", token_ids=[264], \
end=False, level="rest")]
            >>> segmenter.finish().end
            True
        """

    def finish(self) -> Segment | None:
        """Ends the text and returns what is left, one segment a call, then None.

        Returns:
            The next segment, or None when there is nothing left.

        Complexity:
            O(window + pending text).

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> segmenter.push(257), segmenter.finish().text, segmenter.finish()
            (None, 'the', None)
        """

    def restart(self, text: str) -> None:
        """Forgets all ids since the last restart and appends `text`, what was committed instead, to the text before.

        Args:
            text: the text that was chosen.

        Complexity:
            O(window + text).

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer(), prompt_ids=[257])
            >>> [segmenter.push(token_id) for token_id in (264, 267)]
            [None, Segment(" cat", token_ids=[264], end=False, level="word")]
            >>> segmenter.restart(" sat")
            >>> [segment.text for segment in map(segmenter.push, (267, 263)) if segment]
            [' on']
        """

    def __copy__(self) -> Segmenter: ...
    def __deepcopy__(self, _memo: Any, /) -> Segmenter: ...
    def fork(self) -> Segmenter:
        """Returns an independent copy, for trying a continuation.

        Complexity:
            O(text so far).

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> segmenter.push(257), segmenter.fork().finish().text, segmenter.push(264).text
            (None, 'the', 'the')
        """

@overload
def common_boundaries(tokenizers: Sequence[Tokenizer], text: str | bytes) -> list[int]: ...
@overload
def common_boundaries(tokenizers: Sequence[Tokenizer], text: _Texts) -> list[list[int]]:
    """Finds the word boundaries that all tokenizers have; their order does not matter.

    Args:
        tokenizers: at least one.
        text: the text, or a list or tuple of texts, which are spread over the cores.

    Returns:
        Interior positions, ascending, in the unit of `text`; of many texts a list of such lists.

    Raises:
        ArgumentError: there is no tokenizer, or `text` is neither `str` nor `bytes`.
        TextError: `text` is not valid UTF-8, or holds a lone surrogate.

    Complexity:
        O(text) for each tokenizer.

    Source:
        arXiv 2407.19807 (boundaries common to all source models); docs/definitions.md, common boundary.

    Example:
        >>> cf.common_boundaries([toy.tokenizer(), toy.spaced_tokenizer()], "sat on the mat")
        [3, 10]
    """

@final
class Alignment:
    """Several encodings of one text, and the places where all of them have a cut.

    Made by `align`. It cannot be changed; its arrays are NumPy's, read-only, and made when they are first asked for,
    without an object a token. Group g is the text between cut g and cut g + 1, and its tokens in each encoding; a group
    holds at least one token of some encoding, unless it is the only one.

    Example:
        >>> aligned = cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "the cat sat on the mat")
        >>> aligned
        Alignment(5 groups of 22 bytes, tokens=[6, 10])
        >>> aligned.byte_boundaries.tolist()
        [0, 3, 7, 11, 18, 22]
        >>> [counts.tolist() for counts in aligned.token_boundaries]
        [[0, 1, 2, 3, 5, 6], [0, 1, 3, 5, 6, 10]]
    """

    @property
    def text(self) -> str:
        """The text that is aligned, with U+FFFD for each ill-formed part of its bytes.

        Example:
            >>> cf.align([(toy.tokenizer(), [257, 264])]).text
            'the cat'
        """

    @property
    def text_bytes(self) -> bytes:
        """The text that is aligned, as the bytes that all positions count.

        Example:
            >>> cf.align([(toy.tokenizer(), [257, 195])]).text_bytes
            b'the\\xc3'
        """

    @property
    def byte_boundaries(self) -> NDArray[numpy.int64]:
        """The positions where every encoding has a cut, in bytes, ascending: 0, the end and all between.

        Example:
            >>> cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat").byte_boundaries.tolist()
            [0, 6, 10]
        """

    @property
    def token_boundaries(self) -> tuple[NDArray[numpy.int64], ...]:
        """For each encoding, how many of its tokens lie before each of `byte_boundaries`: from 0 to all of them.

        Example:
            >>> aligned = cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat")
            >>> [counts.tolist() for counts in aligned.token_boundaries]
            [[0, 2, 3], [0, 1, 5]]
        """

    @property
    def ids(self) -> tuple[NDArray[numpy.int64], ...]:
        """The ids of each encoding, as they were given or as `text` was encoded.

        Example:
            >>> [ids.tolist() for ids in cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "the cat").ids]
            [[257, 264], [272, 274, 260]]
        """

    def groups(self, encoding: int) -> NDArray[numpy.int64]:
        """Returns the token range of each group in one encoding: row g is (first token, one past the last).

        Args:
            encoding: its index, from 0.

        Returns:
            An array of shape (groups, 2); a group without tokens in this encoding is an empty range.

        Raises:
            ArgumentError: there is no such encoding.

        Complexity:
            O(groups).

        Example:
            >>> cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat").groups(1).tolist()
            [[0, 1], [1, 5]]
        """

    def sum(self, encoding: int, values: ArrayLike) -> NDArray[numpy.float64]:
        """Sums a value per token of one encoding over each group; a group without tokens has the sum 0.

        Unlike ``numpy.add.reduceat``, which gives an empty group the value of the token behind it.

        Args:
            encoding: its index, from 0.
            values: one number per token, such as its log-probability.

        Returns:
            One sum per group, in float64; all of them together are the sum of `values`.

        Raises:
            ArgumentError: there is no such encoding, or `values` is not one number per token.

        Complexity:
            O(tokens).

        Example:
            >>> cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat").sum(1, [-1, -2, -3, -4, -5]).tolist()
            [-1.0, -14.0]
        """

    def __len__(self) -> int:
        """Returns the number of groups.

        Example:
            >>> len(cf.align([toy.tokenizer()], "the cat"))
            2
        """

def align(
    encodings: Iterable[Tokenizer | tuple[Tokenizer, _TokenIds]],
    text: str | bytes | None = None,
    *,
    continues: bool = False,
    characters: bool = False,
) -> Alignment:
    """Finds where encodings of one text meet: the cuts that all of them have, and the tokens between.

    Ids need not be canonical: what a model wrote aligns too, byte tokens and control tokens included. A control token,
    or any other without text, goes with the tokens behind it; at the end of the text with those before it. So the
    groups of each encoding are all its tokens, none twice.

    Where ids decode to `text`, tokens stand where their bytes do. Ids of a tokenizer that loses text (T5, BERT, NFC)
    are placed by its canonical encoding of `text`, which knows where in the original each token comes from: exactly if
    they are the canonical ids, else as far as both cut the same normalised bytes.

    Args:
        encodings: tokenizers, which encode `text`, or (tokenizer, ids).
        text: the text; None takes what the ids decode to, and if that differs, what those of a lossless tokenizer do.
        continues: whether the text stands behind other text, so that no dummy prefix is dropped.
        characters: whether cuts inside a character, between byte tokens, are left out.

    Returns:
        The alignment.

    Raises:
        AlignmentError: an encoding is not one of the text; the message names it, the first byte that differs and what
            was expected there.
        UnknownTokenError: an id is not in the vocabulary; the message names the encoding and the position.
        ArgumentError: nothing to align, no text where one is needed, or an item is neither of the two.
        TextError: a text to encode is not valid UTF-8, or holds a lone surrogate.

    Complexity:
        O(text) for each encoding: two array look-ups and a comparison of bytes a token, if ids are given.

    Source:
        docs/proofs/alignment.md.

    Example:
        >>> plain, spaced = toy.tokenizer(), toy.spaced_tokenizer()
        >>> aligned = cf.align([(plain, [116, 104, 101, 264, 268]), (spaced, spaced.encode("the cat"))])
        >>> aligned.byte_boundaries.tolist(), [counts.tolist() for counts in aligned.token_boundaries]
        ([0, 3, 7], [[0, 3, 5], [0, 1, 3]])
    """

# For the adapters: a file that has been read, before a folder adds what it declares.
@final
class _Spec:
    """What a tokenizer file says."""

    @staticmethod
    def read(path: str | PathLike[str], *, pattern: str | None = None) -> _Spec:
        """Reads the file at `path`, of any format."""

    @staticmethod
    def of_json(text: str, name: str) -> _Spec:
        """Reads the text of a tokenizer.json."""

    @staticmethod
    def of_merges(
        vocab: bytes,
        merges: bytes,
        name: str,
        *,
        pattern: str | None = None,
        add_prefix_space: bool = False,
        composes: bool = False,
    ) -> _Spec:
        """Reads a vocab.json and a merges.txt."""

    @staticmethod
    def of_word_pieces(
        vocab: bytes,
        name: str,
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        part_ideographs: bool = True,
        unknown: str = "[UNK]",
    ) -> _Spec:
        """Reads a vocab.txt."""

    @property
    def format(self) -> str:
        """The format of the file: "tokenizer.json", "gguf", "rwkv", "sentencepiece", "tekken", "tiktoken" and so on."""

    @property
    def added_tokens(self) -> list[dict[str, Any]]:
        """The added tokens, as tokenizer.json writes them."""

    @property
    def post_processor(self) -> str | None:
        """The JSON of the post-processor, if there is one."""

    @property
    def declared(self) -> tuple[int | None, int | None, bool, str | None] | None:
        """What a GGUF file declares: BOS, EOS, whether BOS stands before a text, the chat template."""

    def piece_id(self, content: str) -> int | None:
        """The id of a piece of the vocabulary, if it is one."""

    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        """The pieces of those of `ids` that have one."""

    def with_added_tokens(self, tokens: Sequence[tuple[int, str, bool, bool, bool, bool, bool]]) -> _Spec:
        """The same with these added tokens, whose ids a folder declares."""

    def to_json(self) -> str:
        """The text of a tokenizer.json that says the same, as far as that format can."""

    def load(self, name: str) -> Tokenizer:
        """Makes the tokenizer."""

# How an object that was pickled is made again.
def _tokenizer(
    state: bytes, name: str, declared: tuple[int | None, int | None, list[int], dict[str, str]]
) -> Tokenizer: ...
def _wrapped(
    state: bytes, name: str, declared: tuple[int | None, int | None, list[int], dict[str, str]]
) -> Tokenizer: ...
def _byte_alphabet() -> str: ...
def _edit(drop: int, ids: list[int], lossless: bool) -> Edit: ...
def _segment(text: str, ids: list[int], end: bool, valid: bool, level: str, whole: bool) -> Segment: ...
def _alignment(
    text: bytes, ids: list[list[int]], byte_boundaries: list[int], token_boundaries: list[list[int]]
) -> Alignment: ...
