"""The files of a tokenizer, read and checked.

Knows `vocab.txt`, `tokenizer_config.json` and the two that PaddleNLP may write beside them; must not know how text is
split.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sentinova_server.errors import LoadError

VOCAB_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_FILES = (VOCAB_FILE, CONFIG_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE, TOKENIZER_FILE)

# What PaddleNLP takes where the configuration says nothing.
_REQUIRED_TOKENS = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
_MORE_TOKENS = {"mask_token": "[MASK]", "bos_token": None, "eos_token": None, "additional_special_tokens": None}
# Settings that no published BERT needs; other values than these would give other ids.
_FIXED: dict[str, tuple[object, ...]] = {
    "do_basic_tokenize": (True, None),
    "split_special_tokens": (False, None),
    "never_split": (None, []),
}


class TokenizerError(LoadError):
    """A tokenizer's files that cannot be used."""


class BertConfig:
    """What the files in a folder say about a `BertTokenizer`, checked against its vocabulary.

    Attributes:
        lower: whether text is lower-cased.
        strip_accents: whether accents are dropped.
        ideographs: whether each CJK ideograph is a word.
        cuts_left: whether truncation drops the start of a text and not its end.
        max_length: most tokens the model reads; None where the files do not say.
        tokens: `unk_token`, `sep_token`, `pad_token` and `cls_token`.
        specials: all tokens that are never split, those four among them.
    """

    def __init__(self, folder: Path, vocab: Mapping[str, int]) -> None:
        self._file = folder / CONFIG_FILE
        if not self._file.exists():
            raise TokenizerError(
                self._file,
                "is missing: copy what PaddleNLP's save_pretrained wrote, or write do_lower_case and "
                "model_max_length into one, as the model was trained",
            )
        self._values = read_object(self._file)
        self._refuse_unsupported()
        self.lower = self._read_flag("do_lower_case", usual=True)
        self.ideographs = self._read_flag("tokenize_chinese_chars", usual=True)
        unset = self._values.get("strip_accents") is None
        self.strip_accents = self.lower if unset else self._read_flag("strip_accents", usual=False)
        self.cuts_left = self._values.get("truncation_side") == "left"
        self.max_length = read_max_length(self._file, self._values)
        self.tokens = {key: self._read_token(key, usual) for key, usual in _REQUIRED_TOKENS.items()}
        self.specials = self._collect_specials(folder / SPECIAL_TOKENS_FILE)
        self._check_specials(vocab)
        self._check_added(folder / ADDED_TOKENS_FILE, vocab)

    def _refuse_unsupported(self) -> None:
        name = self._values.get("tokenizer_class") or "BertTokenizer"
        if name != "BertTokenizer":
            raise TokenizerError(
                self._file,
                f"tokenizer_class {name!r} is not supported: BertTokenizer is, and any {TOKENIZER_FILE} in a "
                f"folder without {VOCAB_FILE}",
            )
        for key, supported in _FIXED.items():
            if key in self._values and self._values[key] not in supported:
                raise TokenizerError(self._file, f"{key} {self._values[key]!r} is not supported")

    def _read_flag(self, key: str, usual: bool) -> bool:
        value = self._values.get(key, usual)
        if not isinstance(value, bool):
            raise TokenizerError(self._file, f"{key} is {value!r}: it must be true or false")
        return value

    def _read_token(self, key: str, usual: str) -> str:
        tokens = read_tokens(self._file, key, self._values.get(key, usual))
        if len(tokens) != 1:
            raise TokenizerError(self._file, f"{key} is {self._values[key]!r}: it must be one token")
        return tokens[0]

    def _collect_specials(self, map_file: Path) -> list[str]:
        specials = list(self.tokens.values())
        for key, usual in _MORE_TOKENS.items():
            specials += read_tokens(self._file, key, self._values.get(key, usual))
        for key, value in (read_object(map_file) if map_file.exists() else {}).items():
            tokens = read_tokens(map_file, key, value)
            if key in self.tokens and tokens != [self.tokens[key]]:
                raise TokenizerError(
                    map_file,
                    f"{key} is {value!r}, but {self.tokens[key]!r} in {CONFIG_FILE}: make them agree",
                )
            specials += tokens
        return list(dict.fromkeys(specials))

    def _check_specials(self, vocab: Mapping[str, int]) -> None:
        for token in self.specials:
            if token not in vocab:
                raise TokenizerError(
                    self._file.with_name(VOCAB_FILE),
                    f"has no line {token!r}, a special token: use the vocabulary the model was trained with",
                )
            if " " in token or not (token.isascii() and token.isprintable()):
                raise TokenizerError(
                    self._file, f"special token {token!r} is not supported: use visible ASCII characters"
                )
            for other in self.specials:
                if token in other and token != other:
                    raise TokenizerError(
                        self._file, f"special token {token!r} is part of {other!r}, which is not supported"
                    )

    def _check_added(self, added_file: Path, vocab: Mapping[str, int]) -> None:
        for file, token, number in self._read_added(added_file):
            if str(vocab.get(token)) != number:
                raise TokenizerError(
                    file, f"adds the token {token!r} with id {number}, which {VOCAB_FILE} does not: add it there"
                )

    def _read_added(self, added_file: Path) -> Iterator[tuple[Path, str, str]]:
        added = self._values.get("added_tokens_decoder") or {}
        if not isinstance(added, dict):
            raise TokenizerError(self._file, f"added_tokens_decoder is {added!r}: it must be an object")
        for number, value in added.items():
            yield from ((self._file, token, number) for token in read_tokens(self._file, number, value))
        if added_file.exists():
            yield from ((added_file, token, str(number)) for token, number in read_object(added_file).items())


def read_vocab(file: Path) -> dict[str, int]:
    """Reads one token a line; its line number, from 0, is its id. The last of equal lines counts.

    Raises:
        TokenizerError: the file is missing, not UTF-8 or empty.
    """
    try:
        # Not splitlines(): a vocabulary may hold characters that it takes for ends of lines.
        with file.open(encoding="utf-8") as lines:
            vocab = {line.rstrip("\n"): number for number, line in enumerate(lines)}
    except FileNotFoundError as error:
        raise TokenizerError(file, "is missing: copy the vocabulary the model was trained with") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    if not any(vocab):
        raise TokenizerError(file, "is empty: copy the vocabulary the model was trained with")
    if next(iter(vocab)).startswith("\ufeff"):
        raise TokenizerError(file, "starts with a byte order mark: save it as UTF-8 without one")
    return vocab


def read_object(file: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        TokenizerError: the file cannot be read or holds something else.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise TokenizerError(file, f"is not JSON: {error.msg} ({place})") from error
    except RecursionError as error:
        raise TokenizerError(file, "is not JSON that can be read: too deeply nested") from error
    if not isinstance(value, dict):
        raise TokenizerError(file, f"holds {type(value).__name__}: it must be one JSON object")
    return value


def read_tokens(file: Path, key: str, value: object) -> list[str]:
    """Gives the tokens of a value: a string, an object with `content`, a list of these, or null for none.

    Raises:
        TokenizerError: it is something else.
    """
    if isinstance(value, list):
        return [token for item in value for token in read_tokens(file, key, item)]
    if isinstance(value, dict):
        value = value.get("content", value)
    if value is not None and not isinstance(value, str):
        raise TokenizerError(file, f"{key} is {value!r}: it must be a string")
    return [value] if value else []


def read_max_length(file: Path, config: Mapping[str, Any]) -> int | None:
    """Reads `model_max_length`; None where it is missing or as good as endless, which some tools write.

    Raises:
        TokenizerError: it is no number of tokens.
    """
    value = config.get("model_max_length", config.get("max_len"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        raise TokenizerError(file, f"model_max_length is {value!r}: it must be a number of tokens")
    return int(value) if value < 2**31 else None


def _unreadable(file: Path, error: OSError | UnicodeDecodeError) -> TokenizerError:
    if isinstance(error, UnicodeDecodeError):
        return TokenizerError(file, f"is not UTF-8 text: {error.reason} at byte {error.start}: save it as UTF-8")
    return TokenizerError(file, f"cannot be read: {error.strerror}")
