"""Compiled core of coolfusion; import the names from `coolfusion` instead.

This stub is the full reference. ``help()`` shows the first line of each docstring, because the Rust sources repeat it.
``tests/test_contracts.py`` compares the two. ``docs/definitions.md`` defines canonical, settled, word boundary and
segment.

Positions are in the unit of the text that was passed in, characters for ``str`` and bytes for ``bytes``. For example,
the end of "é" is position 1 in ``str`` and 2 in ``bytes``. Spans are half-open. Token ids are ``int`` from 0 to
``vocab_size - 1``. A function that takes many ids also takes an array of any integer type. The buffer protocol reads an
array several times faster than a list, because it makes no object for each id. Examples run with
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
# Many texts, for a function that also takes one. A list or tuple of texts gives a list of answers.
_Texts: TypeAlias = list[str] | list[bytes] | list[str | bytes] | tuple[str | bytes, ...]

@final
class Tokenizer:
    """A tokenizer that gives canonical ids, exact bytes, and cuts that later text cannot move.

    The canonical ids of a text are the ids that the tokenizer gives to it. A model may write other ids for the same
    text. Some tokenizers put a space before every text, the dummy prefix. For example, the first token of "the" is then
    " the". A certificate is a proof, found at load, that the cuts of a tokenizer do not move.

    A tokenizer is immutable, so any number of threads may share it and run side by side. It has no constructor. Use
    `from_file`, `from_pretrained` or `wrap`. Its pickle holds the whole definition, so loading the pickle needs no
    file. A copy is the tokenizer object itself.

    Example:
        >>> tok = toy.tokenizer()
        >>> tok
        Tokenizer("toy", vocab_size=269)
        >>> [tok.token_bytes(token_id) for token_id in tok.encode("the cat")]
        [b'the', b' cat']
    """

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, pattern: str | None = None) -> Tokenizer:
        """Loads a tokenizer from a file of any known format, which is recognised by its content.

        Eight formats are known:

        - tokenizer.json
        - SentencePiece .model
        - tiktoken ranks
        - tekken.json
        - vocab.json with merges.txt
        - vocab.txt
        - the RWKV world vocabulary
        - the tokenizer in a GGUF file, whose tensors are not read

        Args:
            path: path of the file. One of vocab.json and merges.txt is enough, because the other is found in the same
                folder.
            pattern: the split pattern, a regular expression, for a file that does not hold one. Such files are tiktoken
                ranks, vocab.json with merges.txt, and a GGUF file with an unknown `tokenizer.ggml.pre`. None takes the
                known pattern of a known file.

        Returns:
            The tokenizer, named after the path. While it is in use, another load of the same content from the same path
            shares its definition.

        Raises:
            TokenizerFileError: the file, or the one that belongs to it, is missing, empty, broken, of none of these
                formats, or needs a `pattern`.
            UnsupportedTokenizerError: the file asks for a stage that cannot be run here.

        Complexity:
            O(file), and a few hundred short encodings for the load probe. A second load takes a hash of the file.

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

        A hub name becomes the folder of its files. In a folder, the file with the vocabulary decides how text is
        encoded. The configuration files declare added tokens, `bos_id`, `eos_id`, `prefix_ids` and `chat_templates`. A
        declaration that contradicts the vocabulary file is ignored with a `CoolFusionWarning`. `Fusion.from_pretrained`
        loads in the same way. A vocabulary needs transformers only if its meaning depends on a class of transformers.

        Args:
            name_or_path: a directory, a file, or a hub name such as "gpt2".
            trust_remote_code: True if Python code that comes with a tokenizer may run.
            revision: branch, tag or commit of a hub name. None takes the default branch.

        Returns:
            The tokenizer, named after `name_or_path`.

        Raises:
            TokenizerFileError: the directory or its vocabulary is missing, or a field of a configuration file has a
                wrong type. The message names the file, the field, the value and the expected form.
            UnsupportedTokenizerError: only transformers can read it, and transformers is not installed.

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
        """Returns a tokenizer that encodes and decodes as `obj` does, without BOS and END.

        If the object holds a definition, that definition is used, because it gives exact boundaries and streams in
        constant time. An object that offers only `encode` and `decode` works too, but has no certificate. For example,
        its ``describe()["window"]`` says that a stream encodes the whole text at each push.

        Args:
            obj: a transformers tokenizer (fast, slow or of remote code), a `tokenizers.Tokenizer`, a
                `tiktoken.Encoding` or a `SentencePieceProcessor`. Any other object with `encode(text)` and
                `decode(ids)` works too. A `Tokenizer` is returned as it is.
            name: the name in errors and in `describe`. None takes the name of the object, or that of its class.

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
        """Loads a tokenizer from the text of a tokenizer.json."""

    @staticmethod
    def _pattern_of_class(name: str) -> str | None:
        """Returns the split pattern of a class that reads tiktoken ranks or byte-level merges, or None."""

    @staticmethod
    def _from_sentencepiece(model: bytes, name: str) -> Tokenizer:
        """Loads a tokenizer from the bytes of a SentencePiece model."""

    @staticmethod
    def _from_ranks(
        ranks: Sequence[tuple[bytes, int]], pattern: str, specials: Sequence[tuple[str, int]], name: str
    ) -> Tokenizer:
        """Loads a tokenizer from tiktoken ranks, (bytes, id) each, with their split pattern and special tokens."""

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
        """Returns a tokenizer that calls an object's `encode`; `token_table` holds the bytes of each id, or None.

        `drops` is True if one space is dropped at the start of a text. `first` holds the ids with other bytes there.
        """

    def _declaring(
        self,
        bos_id: int | None,
        eos_id: int | None,
        prefix_ids: Sequence[int],
        chat_templates: dict[str, str],
    ) -> Tokenizer:
        """Returns the same tokenizer with the declarations of a folder: BOS, EOS, ids before a text, chat templates."""

    def _sections(self) -> tuple[list[tuple[int, str, bool, bool, bool]], bool]:
        """Returns added tokens (id, content, control, lstrip, rstrip), and whether a dummy prefix is added once.

        A text is read in sections between control tokens. Mistral's file adds the prefix to the first section alone.
        """

    def __copy__(self) -> Tokenizer: ...
    def __deepcopy__(self, _memo: Any, /) -> Tokenizer: ...
    def encode(
        self, text: str | bytes, *, continues: bool = False, errors: Literal["replace", "strict"] = "replace"
    ) -> list[int]:
        """Encodes a text into its canonical ids, without BOS or END.

        A string that looks like a control token is encoded as text. For example, "<end>" becomes the ids of five
        characters.

        Args:
            text: the text. `bytes` must be UTF-8.
            continues: True if `text` follows other text. Then it gets no dummy prefix, because only the start of a text
                has one.
            errors: the treatment of text that the tokenizer cannot represent. "replace" encodes it as the tokenizer
                does, for example with its unknown token or a normalised spelling. "strict" refuses the text.

        Returns:
            The canonical ids.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate; the message names the position.
            UnrepresentableTextError: `errors` is "strict" and decoding would give other bytes.
            ArgumentError: `text` is neither `str` nor `bytes`, or `errors` is neither "replace" nor "strict".

        Complexity:
            O(bytes of the text).

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
        """Encodes many texts on all cores, each as `encode` does.

        Other Python threads run meanwhile. The environment variable RAYON_NUM_THREADS sets the number of threads. One
        long text is not split. Three kinds of work stay in the calling thread:

        - a batch of a few kilobytes
        - a batch of a wrapped object without a definition of its own
        - any batch in a process that was forked after its parent had used the threads

        Args:
            texts: n texts. `bytes` must be UTF-8.
            continues: as in `encode`, for all texts.
            errors: as in `encode`, for all texts.

        Returns:
            A list of n lists, the canonical ids of each text.

        Raises:
            TextError: as `encode`; the message begins with the index of the text.
            UnrepresentableTextError: as `encode`, for the first text that is refused.
            ArgumentError: `texts` is a single text, or holds an item that is no text.

        Complexity:
            O(bytes of the texts), divided by the cores.

        Example:
            >>> toy.tokenizer().encode_batch(["the cat", "é"])
            [[257, 264], [195, 169]]
            >>> toy.tokenizer().encode_batch([b"the", b"caf\\xc3"])
            Traceback (most recent call last):
            ...
            coolfusion.errors.TextError: text 1: byte 3 of the text is not valid UTF-8: ...
        """

    def decode(self, token_ids: _TokenIds) -> str:
        """Decodes ids to text, with one U+FFFD for each ill-formed part of their bytes.

        Control tokens stand for no text. For example, the id of END adds nothing.

        Args:
            token_ids: n ids of this vocabulary that begin a text, so a dummy prefix is dropped.

        Returns:
            The text.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message names its position.
            ArgumentError: `token_ids` holds an item that is no integer, or is an array of several dimensions.

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

        One thread decodes all lists, because only one thread at a time can read lists and make strings. Reading and
        making take most of the time. Other Python threads run meanwhile.

        Args:
            list_of_ids: n lists or arrays of ids, or the n rows of a two-dimensional array.

        Returns:
            A list of n texts.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message names the list and the position.
            ArgumentError: a list holds an item that is no integer.

        Complexity:
            O(bytes of the texts).

        Example:
            >>> toy.tokenizer().decode_batch([[257, 264], [195]])
            ['the cat', '\\ufffd']
        """

    def decode_bytes(self, token_ids: _TokenIds) -> bytes:
        """Decodes ids to their bytes, which need not be UTF-8.

        Args:
            token_ids: n ids of this vocabulary that begin a text, so a dummy prefix is dropped.

        Returns:
            The bytes. Control tokens stand for none.

        Raises:
            UnknownTokenError: an id is not in the vocabulary, or its bytes are unknown.
            ArgumentError: `token_ids` holds an item that is no integer, or is an array of several dimensions.

        Complexity:
            O(bytes of the text).

        Example:
            >>> toy.tokenizer().decode_bytes([257, 195])
            b'the\\xc3'
        """

    def token_bytes(self, token_id: int) -> bytes:
        """Returns the bytes of one token inside a text.

        Args:
            token_id: an id of this vocabulary.

        Returns:
            The bytes of the token. A dummy prefix is not dropped, because the token does not begin the text. A control
            token has no bytes.

        Raises:
            UnknownTokenError: the id is not in the vocabulary, or its bytes are unknown.
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
        """Returns whether the tokenizer represents a text, so that decoding the encoded text gives the same bytes.

        Args:
            text: the text, or a list or tuple of n texts.
            continues: True if `text` follows other text.

        Returns:
            True if each byte comes back unchanged. For n texts a list of n answers.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate.

        Complexity:
            O(bytes of the text).

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
        """Returns the word boundaries of a text, the cuts before white space that no later text can move.

        A split at white space gives other positions. A token may reach across the white space, and later text may
        change the tokens before it.

        Args:
            text: the text, or a list or tuple of n texts, which are spread over the cores (`encode_batch`).
            method: the way in which cuts of the canonical encoding are found. "bytes" takes the byte spans of the
                vocabulary, and "offsets" the token offsets. "word_ids" cuts at each change of the pre-token number.
                "decode" appends tokens until decoding and encoding again give the same ids. "auto" takes the one in
                ``describe()["method"]``. A method without information about this tokenizer finds no cut. No method
                finds a cut that another one denies.

        Returns:
            Interior positions in the unit of `text`, ascending; for n texts a list of n such lists.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate; of many texts the message names the one.
            ArgumentError: `text` is of another type, or `method` has another value.

        Complexity:
            O(bytes of the text). "decode" is a slow method for comparison, O(text^2), because it encodes every prefix.
            "auto" takes it for a wrapped object without a certificate.

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
        """Returns the settled cuts of a text, which no later text can move and at which encoding can start again.

        A settled cut need not be before white space. For example, "the cat sat!" has one before the exclamation mark.

        Args:
            text: the text, or a list or tuple of n texts.

        Returns:
            Interior positions in the unit of `text`, ascending; for n texts a list of n such lists. A tokenizer without
            a certificate has no settled cuts.

        Raises:
            TextError: `text` is not valid UTF-8, or holds a lone surrogate.

        Complexity:
            O(bytes of the text).

        Source:
            docs/definitions.md, settled cut.

        Example:
            >>> toy.tokenizer().settled_cuts("the cat sat!")
            [3, 7, 11]
            >>> toy.spaced_tokenizer().settled_cuts("the cat")
            [3, 6]
        """

    def describe(self) -> dict[str, Any]:
        """Returns the facts that the load probe found, and the methods for boundaries and windows with their reasons.

        The load probe is a few hundred short encodings at load. For example, they show which kinds of text are lost.

        Returns:
            A dictionary that can be written as JSON, with five kinds of keys.

            - Definition: `name`, `family`, `model`, `split_rule`, `normalizer`, `engine`, `check`.
            - Fidelity: `lossless`, `lossless_but_for_space_mark`, `lost` (kinds of text that do not come back),
              `byte_map`.
            - Spaces at the start: `dummy_prefix`, `decode_drops_first_space`.
            - Cuts: `method` and `why`, `methods`, `window`.
            - Vocabulary: `vocab_size`, `control_tokens`, `unused_ids`, `added_text_tokens`, `notes`.

        Complexity:
            O(vocabulary).

        Example:
            >>> found = toy.tokenizer().describe()
            >>> found["family"], found["lossless"], found["method"]
            ('byte-level BPE', True, 'bytes')
        """

    @property
    def vocab_size(self) -> int:
        """Returns the size of the vocabulary, the largest id plus 1.

        Example:
            >>> toy.tokenizer().vocab_size
            269
        """

    @property
    def name(self) -> str:
        """Returns the name of the tokenizer in errors and in `describe`: its path, or the name given to `wrap`.

        Example:
            >>> toy.tokenizer().name
            'toy'
        """

    @property
    def control_ids(self) -> list[int]:
        """Returns the ids of control tokens in ascending order, such as BOS and END, which stand for no text.

        Example:
            >>> toy.spaced_tokenizer().control_ids
            [0, 1, 2]
        """

    @property
    def control_tokens(self) -> dict[str, int]:
        """Returns the ids of control tokens by their names.

        Example:
            >>> toy.spaced_tokenizer().control_tokens
            {'<unk>': 0, '<s>': 1, '<end>': 2}
        """

    @property
    def bos_id(self) -> int | None:
        """Returns the id that begins a text, or None if the folder declares none.

        Example:
            >>> toy.tokenizer().bos_id is None
            True
        """

    @property
    def eos_id(self) -> int | None:
        """Returns the id that ends a text, or None if the folder declares none.

        Example:
            >>> toy.tokenizer().eos_id is None
            True
        """

    @property
    def prefix_ids(self) -> list[int]:
        """Returns the ids that the folder puts before every text, such as BOS; `encode` does not add them.

        Example:
            >>> toy.tokenizer().prefix_ids
            []
        """

    @property
    def chat_templates(self) -> dict[str, str]:
        """Returns the chat templates of the folder by their names; the one without a name is "default".

        Example:
            >>> toy.tokenizer().chat_templates
            {}
        """

    @property
    def unused_ids(self) -> list[int]:
        """Returns the ids below `vocab_size` that have no token or unknown bytes, in ascending order.

        Example:
            >>> toy.tokenizer().unused_ids
            []
        """

@final
class StreamDecoder:
    """A decoder that turns ids into text one at a time and never takes text back.

    Decoding the growing list at each id is slow, and takes text back. For example, a character whose bytes come in two
    tokens is first shown as U+FFFD. This decoder holds back bytes that may still become a character. A stream has one
    owner. A call during another thread's call raises `ConcurrentUseError` and changes nothing.

    Args:
        tokenizer: the tokenizer of the ids that will be pushed.
        prompt_ids: n ids that came before. The stream starts after them, even inside a character, and returns only the
            text after them. An empty list or None is the start of a text.

    Raises:
        UnknownTokenError: a prompt id is not in the vocabulary.
        ArgumentError: `prompt_ids` holds an item that is no integer.

    Complexity:
        O(prompt) once. A call is O(bytes of the token), independent of the text before it.

    Source:
        docs/invariants.md, I6.

    Example:
        >>> decoder = cf.StreamDecoder(toy.tokenizer(), prompt_ids=[257, 195])
        >>> [decoder.push(token_id) for token_id in (169, 264)]
        ['é', ' cat']
    """

    def __new__(cls, tokenizer: Tokenizer, prompt_ids: _TokenIds | None = ()) -> StreamDecoder: ...
    def push(self, token_id: int) -> str:
        """Appends one id and returns the text that is now certain, which may be empty.

        Args:
            token_id: an id of the vocabulary. A control token stands for no text.

        Returns:
            The text that follows all text returned before, with one U+FFFD for each ill-formed part.

        Raises:
            UnknownTokenError: the id is not in the vocabulary; the stream is unchanged.
            ArgumentError: `token_id` is no integer.

        Complexity:
            O(bytes of the token).

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer())
            >>> [decoder.push(token_id) for token_id in (195, 169, 264)]
            ['', 'é', ' cat']
        """

    def extend(self, token_ids: _TokenIds) -> str:
        """Appends many ids and returns the joined texts that `push` would return for each.

        Args:
            token_ids: n ids of the vocabulary.

        Returns:
            The text that follows all text returned before, with one U+FFFD for each ill-formed part.

        Raises:
            UnknownTokenError: an id is not in the vocabulary; the message names its position in `token_ids`. The stream
                is unchanged, because no id of the call is applied. So no text is lost for the ids before it.
            ArgumentError: `token_ids` holds an item that is no integer, or is an array of several dimensions.

        Complexity:
            O(bytes of the tokens). A token takes 12 ns from a list, half of it for reading the list, and 5 ns from an
            array.

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer())
            >>> decoder.extend([257, 195]), decoder.extend((169, 264))
            ('the', 'é cat')
            >>> from array import array
            >>> decoder.extend(array("I", [265, 266]))
            ' sat mat'
        """

    def flush(self) -> str:
        """Ends the text and returns its rest, one U+FFFD for the bytes of an unfinished character.

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
        """Returns an independent copy of the decoder, on which a continuation can be tried.

        Complexity:
            O(1).

        Example:
            >>> decoder = cf.StreamDecoder(toy.tokenizer(), prompt_ids=[195])
            >>> decoder.fork().push(169), decoder.push(168)
            ('é', 'è')
        """

@final
class Edit:
    """An edit that turns the ids before a push into a `StreamEncoder` into the ids after it.

    To apply it, take `drop` ids from the end, then append `ids`.

    Complexity:
        The first read of `drop` or `ids` is O(ids that change) if the push did not have to compute them.

    Example:
        >>> encoder = cf.StreamEncoder(toy.tokenizer())
        >>> encoder.push("the c")
        Edit(drop=0, ids=[257, 32, 99], lossless=True)
        >>> encoder.push("at")
        Edit(drop=2, ids=[264], lossless=True)
    """

    @property
    def drop(self) -> int:
        """Returns the number of ids to drop from the end.

        Example:
            >>> cf.StreamEncoder(toy.tokenizer()).push("the c").drop
            0
        """

    @property
    def ids(self) -> list[int]:
        """Returns the ids to append after the drop.

        Example:
            >>> cf.StreamEncoder(toy.tokenizer()).push("the cat").ids
            [257, 264]
        """

    @property
    def lossless(self) -> bool:
        """Returns whether the ids of the window decode to the bytes of its text.

        Example:
            >>> cf.StreamEncoder(toy.spaced_tokenizer()).push("a\\u2581b").lossless
            False
        """

@final
class StreamEncoder:
    """An encoder that turns text into ids piece by piece and keeps them canonical.

    After every push `ids` is the canonical encoding of all text so far. Appended text can change the last ids, so each
    push returns an `Edit`. The encoder encodes a window again, from a settled cut to the end, and compares the ids with
    the stored ones. A settled cut is a position that no later text can move. If the window is too small, the encoder
    encodes all text again and adds 1 to `widened`. A stream has one owner, so a call during another thread's call
    raises `ConcurrentUseError`.

    Args:
        tokenizer: the tokenizer of the ids.
        context_words: the least number of settled stretches in the window. A stretch is a word, or less where settled
            cuts are closer.

    Raises:
        ArgumentError: `context_words` is below 0.

    Complexity:
        A push is O(window + text), independent of the text before the window. In most long stretches without cuts it is
        O(text). For a tokenizer without a certificate it is O(all text), and ``describe()["window"]["whole_text"]`` is
        True.

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
        """Appends text and returns the change of `ids`.

        Args:
            text: the text to append. `bytes` may end inside a character, whose bytes then wait for the next call.

        Returns:
            The ids to drop and to append.

        Raises:
            TextError: `text` is not valid UTF-8 after the bytes that wait, or holds a lone surrogate; the encoder is
                unchanged.
            ArgumentError: `text` is neither `str` nor `bytes`.

        Complexity:
            O(window + text).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> encoder.push(b"caf\\xc3").ids, encoder.push(b"\\xa9").ids
            ([99, 97, 102], [195, 169])
        """

    def peek(self, text: str | bytes) -> Edit:
        """Returns the edit that `push` would return, and leaves the encoder unchanged.

        On a long stretch without settled cuts `peek` reads the whole stretch, but `push` does not.

        Args:
            text: the text that may follow.

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
        """Returns the ids of all text so far, in a new list each time, in O(ids).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push("the cat")
            >>> encoder.ids
            [257, 264]
        """

    @property
    def text(self) -> str:
        """Returns all text so far, without the bytes of an unfinished character.

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push(b"caf\\xc3")
            >>> encoder.text
            'caf'
        """

    @property
    def widened(self) -> int:
        """Returns the number of times that a window was too small, which is 0 while the certificate holds.

        Each time all text was encoded again.

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
        """Returns an independent copy of the encoder, on which a continuation can be tried.

        Complexity:
            O(bytes of the text so far).

        Example:
            >>> encoder = cf.StreamEncoder(toy.tokenizer())
            >>> edit = encoder.push("the c")
            >>> edit = encoder.fork().push("at")
            >>> encoder.text
            'the c'
        """

@final
class Segment:
    """A piece of generated text from one boundary to the next, with the ids that were generated for it.

    Example:
        >>> segmenter = cf.Segmenter(toy.tokenizer())
        >>> [segmenter.push(token_id) for token_id in (257, 264)]
        [None, Segment("the", token_ids=[257], end=False, level="word")]
    """

    @property
    def text(self) -> str:
        """Returns the text of the segment, which is empty for END.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.text for segment in map(segmenter.push, (257, 264)) if segment]
            ['the']
        """

    @property
    def token_ids(self) -> list[int]:
        """Returns the ids as they were pushed, which need not be canonical; for END the id of the control token.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.token_ids for segment in map(segmenter.push, (256, 101, 264)) if segment]
            [[256, 101]]
        """

    @property
    def end(self) -> bool:
        """Returns whether the segment is END, the end of the text.

        Example:
            >>> cf.Segmenter(toy.tokenizer()).push(268).end
            True
        """

    @property
    def valid(self) -> bool:
        """Returns whether the generated bytes were UTF-8.

        If they were not, `text` holds one U+FFFD for each ill-formed part.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.valid for segment in map(segmenter.push, (257, 195, 264, 265)) if segment]
            [False]
        """

    @property
    def whole(self) -> bool:
        """Returns whether the segment ends at a stop of its granularity or before white space.

        END is whole.

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> [segment.whole for segment in map(segmenter.push, (257, 264)) if segment], segmenter.finish().whole
            ([True], False)
        """

    @property
    def level(self) -> Literal["word", "pre_token", "token", "code_point", "rest", "end"]:
        """Returns the level of the cut that ends the segment.

        The segment ladder in docs/definitions.md defines the levels. For example, "word" is a cut before white space,
        and "rest" is the text that is left when generation ends.

        Example:
            >>> cf.Segmenter(toy.tokenizer()).push(268).level
            'end'
        """

@final
class Segmenter:
    """A segmenter that cuts generated tokens into segments of text, at boundaries that all tokenizers share.

    A segment is returned as soon as it is certain. One token of look-ahead shows that it is, and begins the next
    segment. Scripts without spaces and very long words end at weaker cuts (`Segment.level`), at the latest at the hard
    cap. Every segment but END has at least one byte.

    Args:
        tokenizer: the tokenizer of the ids that will be pushed.
        align_with: other tokenizers that must have a cut there too, in any order. Without any, the segments are the
            shortest ones. With some, they are the aligned ones.
        prompt_ids: n ids that came before. An empty list or None is the start of a text.
        end_ids: ids that end the text. None takes every control token except the unknown one, because text may hold the
            unknown token. Other control tokens stand for no text and belong to the segment around them.
        max_bytes: the hard cap of a segment in bytes, at least 16. Only a segment of one single token can be longer.
            None takes 128 for words and pre-tokens, 256 for phrases, 512 for sentences and lines.
        granularity: the stops at which a segment may end. "word" ends before white space, and "pre_token" also between
            a word and punctuation. "phrase" ends before white space after punctuation. "sentence" ends there after a
            full stop, a question mark or an exclamation mark. "line" ends at the end of a line.

    Raises:
        UnknownTokenError: a prompt id is not in the vocabulary.
        ArgumentError: `max_bytes` is below 16, `granularity` is unknown, or `prompt_ids` holds an item that is no
            integer.

    Complexity:
        O(prompt) once. A push is O(window) where a boundary is possible and O(bytes of the token) elsewhere, times the
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
        prompt_ids: _TokenIds | None = (),
        *,
        end_ids: _TokenIds | None = None,
        max_bytes: int | None = None,
        granularity: Literal["word", "pre_token", "phrase", "sentence", "line"] = "word",
    ) -> Segmenter: ...
    def push(self, token_id: int) -> Segment | None:
        """Appends one generated id and returns the next segment if it is certain.

        An END id ends the text. The push returns the pending segment, and `finish` returns the rest up to END.

        Args:
            token_id: an id of the vocabulary.

        Returns:
            The next segment, or None.

        Raises:
            UnknownTokenError: the id is not in the vocabulary; the segmenter is unchanged.
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
        """Ends the text and returns the segments that are left, one for each call, then None.

        Returns:
            The next segment, or None if there is none left.

        Complexity:
            O(window + pending text).

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> segmenter.push(257), segmenter.finish().text, segmenter.finish()
            (None, 'the', None)
        """

    def restart(self, text: str) -> None:
        """Replaces the ids pushed since the last restart by `text`, the text that was committed.

        Args:
            text: the text that was committed, appended to the text before those ids.

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
        """Returns an independent copy of the segmenter, on which a continuation can be tried.

        Complexity:
            O(bytes of the text so far).

        Example:
            >>> segmenter = cf.Segmenter(toy.tokenizer())
            >>> segmenter.push(257), segmenter.fork().finish().text, segmenter.push(264).text
            (None, 'the', 'the')
        """

@overload
def common_boundaries(tokenizers: Sequence[Tokenizer], text: str | bytes) -> list[int]: ...
@overload
def common_boundaries(tokenizers: Sequence[Tokenizer], text: _Texts) -> list[list[int]]:
    """Returns the common boundaries of a text, which are word boundaries of all tokenizers.

    The order of the tokenizers does not matter, because the result is an intersection.

    Args:
        tokenizers: at least one tokenizer.
        text: the text, or a list or tuple of n texts, which are spread over the cores.

    Returns:
        Interior positions in the unit of `text`, ascending; for n texts a list of n such lists.

    Raises:
        ArgumentError: there is no tokenizer, or `text` is neither `str` nor `bytes`.
        TextError: `text` is not valid UTF-8, or holds a lone surrogate.

    Complexity:
        O(bytes of the text) for each tokenizer.

    Source:
        arXiv 2407.19807 (boundaries common to all source models); docs/definitions.md, common boundary.

    Example:
        >>> cf.common_boundaries([toy.tokenizer(), toy.spaced_tokenizer()], "sat on the mat")
        [3, 10]
    """

@final
class Alignment:
    """An alignment of several encodings of one text at the cuts that all of them share.

    `align` makes an alignment, which is immutable. Its arrays are read-only NumPy arrays, made at the first read
    without an object for each token. Group g is the text between cut g and cut g + 1, with its tokens in each encoding.
    A group holds at least one token of some encoding, unless it is the only group.

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
        """Returns the aligned text, with U+FFFD for each ill-formed part of its bytes.

        Example:
            >>> cf.align([(toy.tokenizer(), [257, 264])]).text
            'the cat'
        """

    @property
    def text_bytes(self) -> bytes:
        """Returns the aligned text as bytes, the unit of all positions.

        Example:
            >>> cf.align([(toy.tokenizer(), [257, 195])]).text_bytes
            b'the\\xc3'
        """

    @property
    def byte_boundaries(self) -> NDArray[numpy.int64]:
        """Returns the byte positions at which every encoding has a cut, ascending, from 0 to the end of the text.

        The shape is (groups + 1,).

        Example:
            >>> cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat").byte_boundaries.tolist()
            [0, 6, 10]
        """

    @property
    def token_boundaries(self) -> tuple[NDArray[numpy.int64], ...]:
        """Returns for each encoding the number of tokens before each of `byte_boundaries`, from 0 to all.

        Each array has the shape (groups + 1,).

        Example:
            >>> aligned = cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat")
            >>> [counts.tolist() for counts in aligned.token_boundaries]
            [[0, 2, 3], [0, 1, 5]]
        """

    @property
    def ids(self) -> tuple[NDArray[numpy.int64], ...]:
        """Returns the ids of each encoding, as they were given or as `text` was encoded.

        The array of an encoding has the shape (tokens,).

        Example:
            >>> [ids.tolist() for ids in cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "the cat").ids]
            [[257, 264], [272, 274, 260]]
        """

    def groups(self, encoding: int) -> NDArray[numpy.int64]:
        """Returns the token range of each group in one encoding: row g is (first token, one past the last).

        Args:
            encoding: the index of the encoding, from 0.

        Returns:
            An array of shape (groups, 2). A group without tokens in this encoding is an empty range.

        Raises:
            ArgumentError: there is no such encoding.

        Complexity:
            O(groups).

        Example:
            >>> cf.align([toy.tokenizer(), toy.spaced_tokenizer()], "on the mat").groups(1).tolist()
            [[0, 1], [1, 5]]
        """

    def sum(self, encoding: int, values: ArrayLike) -> NDArray[numpy.float64]:
        """Returns the sum of a value per token of one encoding over each group; a group without tokens has the sum 0.

        ``numpy.add.reduceat`` differs, because it gives an empty group the value of the token after it.

        Args:
            encoding: the index of the encoding, from 0.
            values: one number per token of the encoding, shape (tokens,), such as its log-probability.

        Returns:
            One sum per group in float64, shape (groups,). The sums add up to the sum of `values`.

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
    """Aligns several encodings of one text at the cuts that all of them share.

    Ids need not be canonical, so the output of a model aligns too, byte tokens and control tokens included. A token
    without text, for example a control token, belongs to the group of the token after it. At the end of the text it
    belongs to the group before it. So each token of an encoding is in exactly one group.

    If ids decode to `text`, each token stands at the place of its bytes. Some tokenizers lose text, for example T5,
    BERT and those with NFC. Their ids are placed by the canonical encoding of `text`, because it holds the original
    span of each token. Canonical ids are placed exactly. Other ids are placed as far as both encodings cut the same
    normalised bytes.

    Args:
        encodings: n tokenizers, which encode `text`, or n pairs (tokenizer, ids), or a mix of both.
        text: the text. None takes the text that the ids decode to. If the encodings decode to different texts, None
            takes that of a lossless tokenizer.
        continues: True if the text follows other text, so that no dummy prefix is dropped.
        characters: True to leave out cuts inside a character, between byte tokens.

    Returns:
        The alignment.

    Raises:
        AlignmentError: an encoding is not one of the text; the message names it, the first byte that differs and the
            expected bytes.
        UnknownTokenError: an id is not in the vocabulary; the message names the encoding and the position.
        ArgumentError: `encodings` is empty, `text` is needed and missing, or an item is neither of the two.
        TextError: a text to encode is not valid UTF-8, or holds a lone surrogate.

    Complexity:
        O(bytes of the text) for each encoding. With given ids, a token takes two array look-ups and a comparison of its
        bytes.

    Source:
        docs/proofs/alignment.md.

    Example:
        >>> plain, spaced = toy.tokenizer(), toy.spaced_tokenizer()
        >>> aligned = cf.align([(plain, [116, 104, 101, 264, 268]), (spaced, spaced.encode("the cat"))])
        >>> aligned.byte_boundaries.tolist(), [counts.tolist() for counts in aligned.token_boundaries]
        ([0, 3, 7], [[0, 3, 5], [0, 1, 3]])
    """

# For the adapters, which add the declarations of a folder.
@final
class _Spec:
    """The definition in a tokenizer file, before a folder adds its declarations."""

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
        """Returns the format: "tokenizer.json", "gguf", "rwkv", "sentencepiece", "tekken", "tiktoken" and so on."""

    @property
    def added_tokens(self) -> list[dict[str, Any]]:
        """Returns the added tokens, as tokenizer.json writes them."""

    @property
    def post_processor(self) -> str | None:
        """Returns the JSON of the post-processor, or None."""

    @property
    def declared(self) -> tuple[int | None, int | None, bool, str | None] | None:
        """Returns the declarations of a GGUF file: BOS, EOS, whether BOS stands before a text, the chat template."""

    def piece_id(self, content: str) -> int | None:
        """Returns the id of a piece of the vocabulary, or None for any other text."""

    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        """Returns the pieces of those of `ids` that have one."""

    def with_added_tokens(self, tokens: Sequence[tuple[int, str, bool, bool, bool, bool, bool]]) -> _Spec:
        """Returns the same definition with these added tokens, whose ids a folder declares."""

    def to_json(self) -> str:
        """Returns the text of a tokenizer.json with the same definition, as far as that format can hold it."""

    def load(self, name: str) -> Tokenizer:
        """Returns the tokenizer of the definition."""

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
