"""The tokenizer: its ids against stored ones of PaddleNLP's, and what holds on any text."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.runtime import bert_words
from sentinova_server.runtime.tokenizer import TextTokenizer, TokenizerError
from tokenizers import Tokenizer, models, pre_tokenizers, processors

ROOT = Path(__file__).parents[4]
VECTORS = json.loads((ROOT / "tests/vectors/bert_tokenizer.json").read_text(encoding="ascii"))
SHIPPED = ROOT / "model_repository/sentiment_en/2"

TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "b",
    "ab",
    "##a",
    "##b",
    "##c",
    "cafe",
    "σας",
    "σασ",
    "é",
    "[",
    "]",
    "sep",
    "中",
    "文",
    ".",
    "!",
    "²",
    "😀",
    "́",
]
PAD, UNK, CLS, SEP, MASK = range(5)
CONFIG = {"do_lower_case": True, "model_max_length": 8}
# Any string at all, lone surrogates included, thick with what tokenizers get wrong.
ANY_TEXT = st.lists(
    st.one_of(
        st.text(st.characters(), max_size=8),
        st.sampled_from(
            ["[SEP]", "[MASK]", " ", "a", "ab", "中", "É", "e\u0301\u0323", "😀", "a" * 101, "\u2028", "\0", "\ue000"]
        ),
    ),
    max_size=12,
).map("".join)


def write(folder: Path, config: object = CONFIG, vocab: str | bytes | None = None, **files: object) -> Path:
    vocab = "\n".join(TOKENS) + "\n" if vocab is None else vocab
    (folder / "vocab.txt").write_bytes(vocab if isinstance(vocab, bytes) else vocab.encode())
    for name, value in {"tokenizer_config": config, **files}.items():
        (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


def names(tokenizer: TextTokenizer, text: str) -> list[str]:
    return [TOKENS[token] for token in tokenizer.tokenize(text).input_ids[1:-1]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer.load(write(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def cased(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer.load(write(tmp_path_factory.mktemp("cased"), CONFIG | {"do_lower_case": False}))


@pytest.fixture
def described(tmp_path: Path) -> Path:
    engine = Tokenizer(models.WordPiece({token: number for number, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    engine.enable_truncation(6)
    engine.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


class TestPaddleIds:
    """The stored ids are PaddleNLP's for the vocabulary that the shipped English model uses."""

    @staticmethod
    def load(folder: Path, name: str = "uncased", max_length: int | None = None) -> TextTokenizer:
        vocab = (SHIPPED / "vocab.txt").read_bytes()
        assert hashlib.sha256(vocab).hexdigest() == VECTORS["vocab_sha256"]
        return TextTokenizer.load(
            write(folder, VECTORS["settings"][name] | {"model_max_length": 512}, vocab), max_length
        )

    def test_there_are_many(self) -> None:
        assert len(VECTORS["cases"]) >= 300

    @pytest.mark.parametrize("name", ["uncased", "cased"])
    def test_ids_are_equal(self, tmp_path: Path, name: str) -> None:
        cases = VECTORS["cases"]
        results = self.load(tmp_path, name).tokenize_batch([case["text"] for case in cases])
        wrong = [case["text"] for case, result in zip(cases, results, strict=True) if result.input_ids != case[name]]
        assert wrong == []

    def test_shipped_tokenizer_is_the_uncased_one(self) -> None:
        tokenizer = TextTokenizer.load(SHIPPED)
        assert (tokenizer.pad_id, tokenizer.vocab_size, tokenizer.max_length) == (0, 30_522, 512)
        for case in VECTORS["cases"]:
            assert tokenizer.tokenize(case["text"]).input_ids == case["uncased"]

    @pytest.mark.parametrize(
        "case", VECTORS["truncations"], ids=lambda case: f"{case['token_count']}-{case['max_length']}"
    )
    def test_truncation_is_equal(self, case: dict[str, Any], tmp_path: Path) -> None:
        tokenizer = self.load(tmp_path, max_length=case["max_length"])
        result = tokenizer.tokenize(case["text"], truncate=True)
        assert result.input_ids == case["input_ids"]
        assert result.token_count == case["token_count"]
        assert result.truncated == (case["token_count"] > case["max_length"])


class TestWords:
    def test_lower_cases_and_drops_accents(self, small: TextTokenizer) -> None:
        assert names(small, "CAFÉ Cafe\u0301") == ["cafe", "cafe"]

    def test_keeps_case_and_accents(self, cased: TextTokenizer) -> None:
        assert names(cased, "é É AB") == ["é", "[UNK]", "[UNK]"]

    def test_lower_cases_a_final_sigma_as_any_other(self, small: TextTokenizer) -> None:
        assert names(small, "ΣΑΣ") == ["σασ"]

    def test_sets_symbols_punctuation_and_ideographs_apart(self, small: TextTokenizer) -> None:
        assert names(small, "a😀b.a²b中文a!") == ["a", "😀", "b", ".", "a", "²", "b", "中", "文", "a", "!"]

    def test_drops_what_is_invisible(self, small: TextTokenizer) -> None:
        assert names(small, "a\u200bb \0 a\ufeffb \x07\ufffd\ue000\U0010fffd \ud800a") == ["ab", "ab", "a"]

    def test_a_word_over_100_characters_is_unknown(self, small: TextTokenizer) -> None:
        assert names(small, "a" * 100) == ["a", *["##a"] * 99]
        assert names(small, f"{'a' * 101} {'b' * 10_000}") == ["[UNK]", "[UNK]"]

    def test_special_tokens_in_the_text_are_special(self, small: TextTokenizer) -> None:
        assert names(small, "a[SEP]b [MASK].") == ["a", "[SEP]", "b", "[MASK]", "."]
        assert names(small, "[sep] [SEP") == ["[", "sep", "]", "[", "sep"]

    def test_a_word_that_becomes_special_by_cleaning_is_special(
        self, small: TextTokenizer, cased: TextTokenizer
    ) -> None:
        assert names(cased, "[S\0EP] 中[SE\u200bP]中") == ["[SEP]", "中", "[SEP]", "中"]
        assert "[SEP]" not in names(cased, "a[S\0EP]")
        assert names(small, "[S\0EP]") == ["[", "sep", "]"]

    def test_special_tokens_without_capitals_appear_by_lower_casing(self, tmp_path: Path) -> None:
        vocab = "\n".join([*TOKENS, "<s>", "</s>"])
        config = CONFIG | {"cls_token": "<s>", "sep_token": {"content": "</s>"}}
        tokenizer = TextTokenizer.load(write(tmp_path, config, vocab))
        first, last = len(TOKENS), len(TOKENS) + 1
        assert tokenizer.tokenize("a<S>b</s>").input_ids == [first, 5, first, 6, last, last]

    @pytest.mark.parametrize("text", ["", " \t\n", "\0\u200b\ufffd", "\u0301\u0323", "\ue000\ue003"])
    def test_empty_after_cleaning(self, small: TextTokenizer, text: str) -> None:
        result = small.tokenize(text)
        assert (result.input_ids, result.is_empty, result.token_count, result.truncated) == ([CLS, SEP], True, 2, False)

    def test_text_is_not_empty_when_a_token_is_left(self, small: TextTokenizer) -> None:
        assert not small.tokenize("[SEP]").is_empty
        assert not small.tokenize("ω").is_empty

    @pytest.mark.parametrize("mark", ["\u0301\u302e", "\u302e\U0001d165"])
    def test_time_grows_with_the_text_only(self, small: TextTokenizer, mark: str) -> None:
        begin = time.perf_counter()
        small.tokenize("a" + mark * 200_000)
        assert time.perf_counter() - begin < 10  # minutes, if marks were ordered by insertion

    def test_orders_marks_as_unicode_does(self) -> None:
        text = "a\u0301\u302e\U0001d165\u0323\u3099b\u302e\U0001d165"
        assert bert_words._order_marks(text) == "a\u3099\U0001d165\u0323\u302e\u0301b\U0001d165\u302e"


class TestAnyText:
    @given(texts=st.lists(ANY_TEXT, max_size=5), truncate=st.booleans())
    def test_a_batch_gives_what_single_texts_give(self, small: TextTokenizer, texts: list[str], truncate: bool) -> None:
        assert small.tokenize_batch(texts, truncate) == [small.tokenize(text, truncate) for text in texts]

    @given(text=ANY_TEXT, truncate=st.booleans())
    def test_ids_are_well_formed(self, small: TextTokenizer, cased: TextTokenizer, text: str, truncate: bool) -> None:
        for tokenizer in (small, cased):
            result = tokenizer.tokenize(text, truncate)
            assert (result.input_ids[0], result.input_ids[-1]) == (CLS, SEP)
            assert all(0 <= token < tokenizer.vocab_size for token in result.input_ids)
            assert result.is_empty == (result.token_count == 2)

    @given(text=ANY_TEXT, max_length=st.integers(3, 8))
    def test_truncation_drops_the_end_only(
        self, tmp_path_factory: pytest.TempPathFactory, text: str, max_length: int
    ) -> None:
        tokenizer = TextTokenizer.load(self.folder(tmp_path_factory), max_length)
        whole, cut = tokenizer.tokenize(text), tokenizer.tokenize(text, truncate=True)
        assert whole.token_count == cut.token_count == len(whole.input_ids)
        assert not whole.truncated
        assert cut.truncated == (whole.token_count > max_length)
        kept = min(whole.token_count, max_length) - 1
        assert cut.input_ids == [*whole.input_ids[:kept], SEP]

    @staticmethod
    def folder(factory: pytest.TempPathFactory) -> Path:
        folder = factory.getbasetemp() / "any-text"
        if not folder.exists():
            folder.mkdir()
            write(folder)
        return folder

    @given(text=ANY_TEXT)
    @settings(max_examples=300)
    def test_a_long_text_in_pieces_gives_the_same(self, small: TextTokenizer, cased: TextTokenizer, text: str) -> None:
        whole = [tokenizer.tokenize(text) for tokenizer in (small, cased)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bert_words, "PIECE_CHARS", 2)
            assert [tokenizer.tokenize(text) for tokenizer in (small, cased)] == whole

    def test_characters_beyond_the_table_are_read_too(
        self, small: TextTokenizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bert_words, "_TABLE_SIZE", 0)
        table = bert_words._CharTable(str.upper)
        assert "añ".translate(table) == "AÑ"
        assert len(table) == 0

    def test_left_truncation_drops_the_start(self, tmp_path: Path) -> None:
        tokenizer = TextTokenizer.load(write(tmp_path, CONFIG | {"truncation_side": "left"}), 4)
        assert tokenizer.tokenize("a a a b !", truncate=True).input_ids == [
            CLS,
            TOKENS.index("b"),
            TOKENS.index("!"),
            SEP,
        ]

    def test_threads_share_one(self, small: TextTokenizer) -> None:
        texts = [f"a{chr(code)}b É中[SEP] ab" * 3 for code in range(0x20, 0x3000)]
        expected = small.tokenize_batch(texts)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(small.tokenize, texts)) == expected

    def test_other_threads_run_meanwhile(self, small: TextTokenizer) -> None:
        texts = ["ab " * 100_000] * 4
        work = threading.Thread(target=small.tokenize_batch, args=(texts,))
        work.start()
        turns = 0
        while work.is_alive():
            time.sleep(0.001)
            turns += 1
        assert turns > 10


class TestFiles:
    def fails(self, folder: Path, file: str, *words: str, max_length: int | None = None) -> None:
        with pytest.raises(TokenizerError) as caught:
            TextTokenizer.load(folder, max_length)
        assert caught.value.file == folder / file
        for word in words:
            assert word in caught.value.message
        assert isinstance(caught.value, LoadError)

    def test_reads_the_vocabulary_by_line(self, tmp_path: Path) -> None:
        vocab = "\r\n".join([*TOKENS, "\u2028", "\x85", "", "a"])
        tokenizer = TextTokenizer.load(write(tmp_path, vocab=vocab))
        assert tokenizer.tokenize("a").input_ids == [CLS, len(TOKENS) + 3, SEP]  # the last of equal lines

    def test_max_length(self, tmp_path: Path) -> None:
        assert TextTokenizer.load(write(tmp_path)).max_length == 8
        assert TextTokenizer.load(tmp_path, 5).max_length == 5
        self.fails(tmp_path, "tokenizer_config.json", "model_max_length is 8", "9", max_length=9)
        self.fails(tmp_path, "tokenizer_config.json", "no room", max_length=2)

    @pytest.mark.parametrize("config", [{}, {"model_max_length": None}, {"model_max_length": 1e30}])
    def test_max_length_that_nobody_gives(self, tmp_path: Path, config: dict[str, object]) -> None:
        write(tmp_path, config)
        self.fails(tmp_path, "tokenizer_config.json", "no model_max_length")
        assert TextTokenizer.load(tmp_path, 16).max_length == 16

    def test_missing_files(self, tmp_path: Path) -> None:
        self.fails(tmp_path, "vocab.txt", "missing")
        (write(tmp_path) / "tokenizer_config.json").unlink()
        self.fails(tmp_path, "tokenizer_config.json", "missing", "do_lower_case")

    @pytest.mark.parametrize(
        ("vocab", "words"),
        [
            (b"", "is empty"),
            (b"\n\n", "is empty"),
            (b"[PAD]\n\xff\xfe\n", "not UTF-8"),
            ("\ufeff" + "\n".join(TOKENS), "byte order mark"),
            ("\n".join(TOKENS).replace("[SEP]", "[END]"), "'[SEP]'"),
            ("\n".join(TOKENS).replace("[MASK]", "[HIDE]"), "'[MASK]'"),
        ],
    )
    def test_bad_vocabularies(self, tmp_path: Path, vocab: str | bytes, words: str) -> None:
        self.fails(write(tmp_path, vocab=vocab), "vocab.txt", words)

    def test_a_folder_in_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "vocab.txt").mkdir()
        self.fails(tmp_path, "vocab.txt", "cannot be read")

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ("{", "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("[]", "must be one JSON object"),
            ('{"do_lower_case": "yes"}', "do_lower_case is 'yes': it must be true or false"),
            ('{"strip_accents": 1}', "strip_accents"),
            ('{"tokenize_chinese_chars": null}', "tokenize_chinese_chars"),
            ('{"model_max_length": "512"}', "must be a number"),
            ('{"model_max_length": true}', "must be a number"),
            ('{"model_max_length": 0}', "must be a number"),
            ('{"model_max_length": NaN}', "must be a number"),
            ('{"tokenizer_class": "RobertaTokenizer"}', "'RobertaTokenizer' is not supported"),
            ('{"do_basic_tokenize": false}', "do_basic_tokenize False is not supported"),
            ('{"never_split": ["a"]}', "never_split"),
            ('{"cls_token": null}', "cls_token"),
            ('{"cls_token": 5}', "cls_token is 5: it must be a string"),
            ('{"cls_token": ["[CLS]", "[SEP]"]}', "must be one token"),
            ('{"mask_token": "é"}', "'é' is not supported"),
            ('{"additional_special_tokens": ["sep", "["]}', "'[' is part of"),
            ('{"added_tokens_decoder": []}', None),
            ('{"added_tokens_decoder": [1]}', "added_tokens_decoder"),
            ('{"added_tokens_decoder": {"99": {"content": "new"}}}', "'new' with id 99"),
        ],
    )
    def test_configurations(self, tmp_path: Path, config: str, words: str | None) -> None:
        write(tmp_path, config)
        if words is None:
            TextTokenizer.load(tmp_path, 8)
        else:
            self.fails(tmp_path, "tokenizer_config.json", words, max_length=8)

    def test_config_that_is_not_utf8(self, tmp_path: Path) -> None:
        (write(tmp_path) / "tokenizer_config.json").write_bytes(b'{"a": "\xff"}')
        self.fails(tmp_path, "tokenizer_config.json", "not UTF-8")

    def test_what_paddlenlp_saves_is_read(self, tmp_path: Path) -> None:
        specials = {"cls_token": "[CLS]", "mask_token": {"content": "[MASK]"}}
        config = CONFIG | {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"2": {"content": "[CLS]"}}}
        tokenizer = TextTokenizer.load(write(tmp_path, config, special_tokens_map=specials, added_tokens={"ab": 7}))
        assert names(tokenizer, "ab[MASK]") == ["ab", "[MASK]"]

    def test_further_special_tokens(self, tmp_path: Path) -> None:
        tokenizer = TextTokenizer.load(write(tmp_path, special_tokens_map={"additional_special_tokens": ["sep"]}))
        assert names(tokenizer, "asepSEPb") == ["a", "sep", "sep", "b"]

    def test_files_that_disagree(self, tmp_path: Path) -> None:
        write(tmp_path, special_tokens_map={"cls_token": "[MASK]"})
        self.fails(tmp_path, "special_tokens_map.json", "make them agree")
        write(tmp_path, special_tokens_map={}, added_tokens={"new": 99})
        self.fails(tmp_path, "added_tokens.json", "'new'")


class TestTokenizerFile:
    def test_runs_as_described(self, described: Path) -> None:
        tokenizer = TextTokenizer.load(described)
        assert (tokenizer.pad_id, tokenizer.vocab_size, tokenizer.max_length) == (PAD, len(TOKENS), 6)
        result = tokenizer.tokenize("a b ab . a b", truncate=True)
        assert (result.input_ids, result.truncated, result.token_count) == (
            [CLS, 5, 6, 7, TOKENS.index("."), SEP],
            True,
            8,
        )
        assert len(tokenizer.tokenize("a b ab . a b").input_ids) == 8
        assert tokenizer.tokenize("").is_empty

    def test_half_a_character_is_read(self, described: Path) -> None:
        assert TextTokenizer.load(described).tokenize("a \ud800 b").token_count == 5

    def test_vocabulary_comes_first(self, described: Path) -> None:
        assert TextTokenizer.load(write(described)).max_length == 8

    def test_bad_file(self, described: Path) -> None:
        (described / "tokenizer.json").write_text("{}", encoding="utf-8")
        with pytest.raises(TokenizerError, match=r"tokenizer\.json: is no file that the tokenizers package reads"):
            TextTokenizer.load(described)

    def test_no_padding_token(self, tmp_path: Path) -> None:
        Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")).save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(TokenizerError, match="pad_token"):
            TextTokenizer.load(tmp_path, 8)
        (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "?"}', encoding="utf-8")
        assert TextTokenizer.load(tmp_path, 8).pad_id == 1
