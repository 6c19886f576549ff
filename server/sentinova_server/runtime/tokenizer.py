"""Text to token ids: the very ids that PaddleNLP's `BertTokenizer` gives, many times faster.

Knows vocabularies, WordPiece and truncation; must not know models, tensors or requests.

`bert_words` finds the words; the `tokenizers` package cuts them into the vocabulary's pieces outside the GIL.
A `tokenizer.json` is run by that package alone, and its ids are whatever the file describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from sentinova_server.runtime.bert_words import WordSplitter
from sentinova_server.runtime.tokenizer_files import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    BertConfig,
    TokenizerError,
    read_max_length,
    read_object,
    read_tokens,
    read_vocab,
)

__all__ = ["TextTokenizer", "TokenizedText", "TokenizerError"]

# BERT's own limit: a longer word is one unknown token.
_MAX_CHARS_PER_WORD = 100


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """One text as the model reads it.

    Attributes:
        input_ids: token ids, special ones included, as in `[CLS] … [SEP]`.
        truncated: whether `input_ids` leaves out tokens of the text.
        token_count: tokens before truncation, special ones included.
        is_empty: whether nothing of the text is left but the special tokens around it.
    """

    input_ids: list[int]
    truncated: bool
    token_count: int
    is_empty: bool = False


class TextTokenizer:
    """Turns texts into token ids. Threads may share one.

    Attributes:
        pad_id: id of the token that fills a batch up.
        vocab_size: number of tokens in the vocabulary.
        max_length: most tokens the model reads of one text, special ones included.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], list[list[int]]],
        around: tuple[list[int], list[int]],
        *,
        pad_id: int,
        vocab_size: int,
        max_length: int,
        cuts_left: bool = False,
    ) -> None:
        """Use `load`. `around`: the ids to set before and after those that `encode` gives for a text."""
        self.pad_id = pad_id
        self.vocab_size = vocab_size
        self.max_length = max_length
        self._encode = encode
        self._before, self._after = around
        self._cuts_left = cuts_left

    @classmethod
    def load(cls, folder: Path, max_length: int | None = None) -> TextTokenizer:
        """Reads the tokenizer of a model: `vocab.txt` with `tokenizer_config.json`, or else `tokenizer.json`.

        Args:
            folder: where the files are.
            max_length: most tokens of one text; where None, the tokenizer's own `model_max_length`.

        Raises:
            TokenizerError: a file is missing or not as it must be; names it and says what to do.
        """
        if (folder / TOKENIZER_FILE).exists() and not (folder / VOCAB_FILE).exists():
            return _load_described(folder, max_length)
        return _load_bert(folder, max_length)

    def tokenize(self, text: str, truncate: bool = False) -> TokenizedText:
        """Turns one text into ids, as `tokenize_batch` does."""
        return self.tokenize_batch((text,), truncate)[0]

    def tokenize_batch(self, texts: Sequence[str], truncate: bool = False) -> list[TokenizedText]:
        """Turns texts into ids. No text is refused.

        Args:
            texts: any number of texts.
            truncate: whether to cut to `max_length` tokens, keeping the special ones around the text, as
                PaddleNLP does. Otherwise the ids come whole: compare `token_count` with `max_length`.

        Returns:
            One for each text, in their order.
        """
        return [self._finish(ids, truncate) for ids in self._encode(texts)]

    def _finish(self, ids: list[int], truncate: bool) -> TokenizedText:
        specials = len(self._before) + len(self._after)
        count = len(ids) + specials
        cut = truncate and count > self.max_length
        if cut:
            room = self.max_length - specials
            ids = ids[-room:] if self._cuts_left else ids[:room]
        return TokenizedText([*self._before, *ids, *self._after], cut, count, is_empty=count == specials)


def _load_bert(folder: Path, max_length: int | None) -> TextTokenizer:
    """Builds PaddleNLP's `BertTokenizer`."""
    vocab = read_vocab(folder / VOCAB_FILE)
    config = BertConfig(folder, vocab)
    splitter = WordSplitter(config.lower, config.strip_accents, config.ideographs, config.specials)
    engine = Tokenizer(
        models.WordPiece(
            vocab=vocab | {mark: vocab[token] for token, mark in splitter.marks.items()},
            unk_token=config.tokens["unk_token"],
            max_input_chars_per_word=_MAX_CHARS_PER_WORD,
        )
    )
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        split = [splitter.split(text) for text in texts]
        pieces = [piece for own in split for piece in own]
        ids = (encoding.ids for encoding in engine.encode_batch_fast(pieces, add_special_tokens=False))
        return [next(ids) if len(own) == 1 else [token for _ in own for token in next(ids)] for own in split]

    return TextTokenizer(
        encode,
        ([vocab[config.tokens["cls_token"]]], [vocab[config.tokens["sep_token"]]]),
        pad_id=vocab[config.tokens["pad_token"]],
        vocab_size=len(vocab),
        max_length=_choose_max_length(folder / CONFIG_FILE, max_length, config.max_length, specials=2),
        cuts_left=config.cuts_left,
    )


def _load_described(folder: Path, max_length: int | None) -> TextTokenizer:
    """Takes the pipeline that a `tokenizer.json` describes."""
    file = folder / TOKENIZER_FILE
    try:
        engine: Tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises nothing narrower
        raise TokenizerError(file, f"is no file that the tokenizers package reads: {error}") from error
    config_file = folder / CONFIG_FILE
    config = read_object(config_file) if config_file.exists() else {}
    own_length = read_max_length(config_file, config) or (engine.truncation or {}).get("max_length")
    pad_id = _find_pad(file, engine, read_tokens(config_file, "pad_token", config.get("pad_token")))
    engine.no_truncation()
    engine.no_padding()
    sample = engine.encode("a 0 一")
    own = [at for at, special in enumerate(sample.special_tokens_mask) if not special]
    if not own:
        raise TokenizerError(file, "gives no token for letters, digits or ideographs: complete its vocabulary")
    around = (sample.ids[: own[0]], sample.ids[own[-1] + 1 :])

    def encode(texts: Sequence[str]) -> list[list[int]]:
        # A Python string may hold half a character (a lone surrogate), which the package refuses.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [encoding.ids for encoding in engine.encode_batch_fast(whole, add_special_tokens=False)]

    return TextTokenizer(
        encode,
        around,
        pad_id=pad_id,
        vocab_size=engine.get_vocab_size(),
        max_length=_choose_max_length(config_file, max_length, own_length, specials=sum(map(len, around))),
    )


def _find_pad(file: Path, engine: Tokenizer, named: Iterable[str]) -> int:
    if engine.padding:
        return int(engine.padding["pad_id"])
    for token in (*named, "[PAD]", "<pad>"):
        if (number := engine.token_to_id(token)) is not None:
            return int(number)
    raise TokenizerError(file, f"has no padding token: name one of its tokens as pad_token in {CONFIG_FILE}")


def _choose_max_length(file: Path, asked: int | None, own: int | None, specials: int) -> int:
    chosen = own if asked is None else asked
    if chosen is None:
        raise TokenizerError(
            file, "has no model_max_length: add the number of tokens the model reads, or give a max_length"
        )
    if own is not None and chosen > own:
        raise TokenizerError(file, f"model_max_length is {own}: the model does not read {chosen} tokens")
    if chosen <= specials:
        raise TokenizerError(file, f"a max_length of {chosen} leaves no room for text beside {specials} special tokens")
    return chosen
