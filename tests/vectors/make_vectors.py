"""Writes the vectors that every client is held against: sentiment.json, unicode.json and errors.json.

Run with `.venv-train/bin/python tests/vectors/make_vectors.py` (`make train` sets that environment up), or with
`--only sentiment errors` in any environment that has protobuf and the `sentinova` package: those two need no Paddle.

- sentiment.json: the golden texts of the shipped model; scores worked out here from Paddle's logits in golden.json
  and the temperatures in config.pbtxt.
- unicode.json: the texts below; PaddleNLP's tokenizer and Paddle Inference on the shipped files, the same way.
- errors.json: the cases below, as docs/operations.md and the comments of the protos promise them.

Knows Paddle and the files; must not know the server: what it answers is judged by these files.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "model_repository" / "sentiment_en"
VERSIONS = ("1", "2")
MAX_LENGTH = 512
# How far the logits worked out here may be from those of golden.json, which another run of Paddle gave.
SAME_LOGITS = 1e-4

Judge = Callable[[str], dict[str, Any]]
# A text, or the pieces of a long one, each with how often it stands there.
Text = str | list[tuple[str, int]]

# Name and text. Characters that could be mistaken, or that an editor would change, are escaped.
UNICODE_TEXTS: dict[str, Text] = {
    "emoji": "Best day ever 😀🎉❤️",
    "emoji-angry": "This phone is rubbish 😡💩👎",
    "zwj-family": "My family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 loved it",
    "skin-tone-flag-keycap": "\U0001f44d\U0001f3fd \U0001f1eb\U0001f1f7 1\ufe0f\u20e3 out of 10",
    "variation-selectors": "\u2764\ufe0e and \u2764\ufe0f are not the same, but both are lovely",
    "nfc": "Le caf\u00e9 \u00e9tait tr\u00e8s agr\u00e9able",
    "nfd": "Le cafe\u0301 e\u0301tait tre\u0300s agre\u0301able",
    "stacked-marks": "a\u0301\u0302\u0303\u0304\u0323 te\u0301r\u0308rible\u0332 z\u0300\u0301\u0302a\u0308lgo",
    "lone-combining-mark": "\u0301 good",
    "hebrew": "\u05d4\u05e1\u05e8\u05d8 \u05d4\u05d9\u05d4 \u05e0\u05d4\u05d3\u05e8!",
    "arabic-with-marks": "\u0641\u0650\u064a\u0644\u0652\u0645 \u0631\u0627\u0626\u0639\u060c \u0623\u062d\u0628\u0628\u062a\u0647",
    "bidi-controls": "an \u202eawful\u202c \u2067\u05e1\u05e8\u05d8\u2069 evening",
    "chinese": "这部电影太好看了！强烈推荐。",
    "japanese-halfwidth": "ﾃｽﾄ 映画はとても面白かったです。",
    "korean-conjoining": "\u1112\u1161\u11ab\u1100\u1173\u11af 영화가 좋았다",
    "astral-ideographs": "\U00020000\U0002a6d6 \U0002f800 好",
    "astral-letters": "\U0001d41a\U0001d430\U0001d41f\U0001d42e\U0001d425 \U00010400\U00010428 wonderful",
    "thai": "ภาพยนตร์เรื่องนี้ดีมาก",
    "devanagari": "फ़िल्म बहुत अच्छी थी।",
    "turkish-i": "İSTANBUL IŞIK ılık was delightful",
    "sharp-s-ligatures": "GROẞ Straße ﬁne ﬂawed",
    "fullwidth": "ＧＲＥＡＴ！　ｍｏｖｉｅ１２３",
    "no-break-and-ideographic-space": "not\u00a0bad\u3000at\u2009all",
    "line-separators": "first\u2028second\u2029third\u0085fourth\u000bfifth, all dull",
    "byte-order-mark": "\ufeffI hated every minute",
    "zero-width": "won\u200bder\u2060ful",
    "nul-inside": "terrible\u0000service",
    "control-characters": "loud\u0001\u001b[31mred\u007f noise",
    "noncharacters": "fine \ufffe\uffff\U0010ffff really",
    "private-use": "\ue000\uf8ff\U000f0000 splendid",
    "replacement-character": "caf\ufffd was cold",
    "tags": "flag \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f of joy",
    "quotes-and-backslashes": '"Superb", she said: \'C:\\new\\table\' \\u0041 \\" {}[]',
    "html-stays-text": "<b>not</b> &amp; never &#128512; <script>alert('bad')</script>",
    "special-tokens-in-text": "[CLS] awful [SEP] [MASK] good [PAD]",
    "long-word": [("a", 20_000)],
    "long-word-of-marks": [("e", 1), ("\u0301", 9_000), (" good", 1)],
    "one-character": "好",
    "digits-of-many-scripts": "rated \u0665/\u0661\u0660 or ५/१०",
}
# Texts of more tokens than the model reads, to be cut.
TRUNCATED_TEXTS: dict[str, Text] = {
    "long-words": [("a dull, overlong and joyless film ", 120)],
    "long-ideographs": [("很好看", 400)],
    "long-emoji": [("\U0001f600\u200d\U0001f525 so-so ", 300)],
}

TEXT_FIELD = {"unary": "document.text", "batch": "documents[{index}].text", "stream": "document.text"}
ID_FIELD = {"unary": "document.id", "batch": "documents[{index}].id", "stream": "document.id"}


def same_field(path: str) -> dict[str, str]:
    """Gives a field's path, which is the same in every way of asking."""
    return dict.fromkeys(("unary", "batch", "stream"), path)


def error_case(name: str, code: str, reason: str, field: dict[str, str], **given: Any) -> dict[str, Any]:
    """Makes a case; `given` is what is wrong in it."""
    return {"name": name, **given, "expected": {"code": code, "reason": reason, "field": field}}


# What is wrong with one document, which fails alone.
DOCUMENT_ERRORS = [
    error_case("empty", "INVALID_ARGUMENT", "TEXT_EMPTY", TEXT_FIELD, text=""),
    error_case("white-space", "INVALID_ARGUMENT", "TEXT_EMPTY", TEXT_FIELD, text=" \t\r\n\u00a0\u3000\u2028"),
    error_case("nothing-visible", "INVALID_ARGUMENT", "TEXT_EMPTY", TEXT_FIELD, text="\u0000\u200b\u001b\ufeff"),
    error_case("too-many-bytes", "INVALID_ARGUMENT", "TEXT_TOO_LONG", TEXT_FIELD, text=[("a", 65_537)]),
    error_case("too-many-bytes-of-few", "INVALID_ARGUMENT", "TEXT_TOO_LONG", TEXT_FIELD, text=[("字", 21_846)]),
    error_case("too-many-tokens", "INVALID_ARGUMENT", "TEXT_TOO_LONG", TEXT_FIELD, text=[("dull ", 511)]),
    error_case("id-too-long", "INVALID_ARGUMENT", "INVALID_FIELD", ID_FIELD, text="good", id=[("é", 129)]),
]
# What is wrong with a call as a whole: every document gets the error.
CALL_ERRORS = [
    error_case("unknown-model", "NOT_FOUND", "MODEL_NOT_FOUND", same_field("config.model"), config={"model": "nobody"}),
    error_case(
        "unknown-version", "NOT_FOUND", "VERSION_NOT_FOUND", same_field("config.version"), config={"version": 99}
    ),
    error_case("unknown-label", "NOT_FOUND", "LABEL_NOT_FOUND", same_field("config.label"), config={"label": "nobody"}),
    error_case(
        "unknown-priority", "INVALID_ARGUMENT", "INVALID_FIELD", same_field("config.priority"), config={"priority": 7}
    ),
    error_case(
        "routing-key-too-long",
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        same_field("config.routing_key"),
        config={"routing_key": [("k", 257)]},
    ),
    error_case("too-many-documents", "INVALID_ARGUMENT", "INVALID_FIELD", {"batch": "documents"}, documents=1025),
]


def spelled(text: Text) -> str:
    """Gives a text in full."""
    return text if isinstance(text, str) else "".join(piece * times for piece, times in text)


def temperatures() -> dict[str, float]:
    """Reads the temperature of each version from config.pbtxt."""
    from google.protobuf import text_format
    from sentinova_server.repository import model_config_pb2

    config = text_format.Parse((MODEL / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    return {version: float(config.parameters[f"temperature.{version}"].string_value) for version in VERSIONS}


def judged(logits: Sequence[float], labels: Sequence[str], temperature: float, tokens: int) -> dict[str, Any]:
    """Works out what a client must be told: softmax(logits / temperature), and the class that has most of it."""
    powers = [math.exp((logit - max(logits)) / temperature) for logit in logits]
    scores = [power / sum(powers) for power in powers]
    label = labels[max(range(len(scores)), key=scores.__getitem__)]
    return {
        "label": label,
        "scores": dict(zip(labels, scores, strict=True)),
        "logits": list(logits),
        "token_count": tokens,
    }


def labels_of(version: str) -> list[str]:
    """Reads the names of the classes."""
    return (MODEL / version / "labels.txt").read_text().split()


def golden_of(version: str) -> dict[str, Any]:
    """Reads the golden values of a version."""
    return dict(json.loads((MODEL / version / "golden.json").read_text()))


def head(source: str) -> dict[str, Any]:
    """Gives what every file of judged texts begins with."""
    return {
        "format_version": 1,
        "made_by": "tests/vectors/make_vectors.py",
        "source": source,
        "model": MODEL.name,
        "parameters_sha256": {
            v: hashlib.sha256((MODEL / v / "model.pdiparams").read_bytes()).hexdigest() for v in VERSIONS
        },
        "temperatures": temperatures(),
        "logit_tolerance": max(golden_of(version)["tolerance"] for version in VERSIONS),
    }


def sentiment() -> dict[str, Any]:
    """Makes sentiment.json's content."""
    golden = {version: golden_of(version) for version in VERSIONS}
    by_text = {v: {case["text"]: case for case in golden[v]["cases"]} for v in VERSIONS}
    warm = temperatures()
    cases = []
    for number, text in enumerate(by_text[VERSIONS[0]]):
        versions = {}
        for version in VERSIONS:
            case = by_text[version][text]
            versions[version] = judged(case["logits"], labels_of(version), warm[version], len(case["input_ids"]))
        cases.append({"id": f"golden-{number}", "text": text, "versions": versions})
    generator = golden[VERSIONS[0]]["generator"]
    packages = ", ".join(f"{name} {number}" for name, number in generator.items())
    return head(f"Paddle's logits in golden.json ({packages}), temperatures of config.pbtxt") | {"cases": cases}


def unicode_cases() -> dict[str, Any]:
    """Makes unicode.json's content."""
    judges = {version: paddle_judge(version) for version in VERSIONS}
    source = (
        f"paddlenlp {importlib.metadata.version('paddlenlp')}'s tokenizer and Paddle Inference "
        f"{importlib.metadata.version('paddlepaddle')} on the shipped files, temperatures of config.pbtxt"
    )

    def cases(texts: dict[str, Text]) -> list[dict[str, Any]]:
        return [
            {"id": name, "text": text, "versions": {version: judge(spelled(text)) for version, judge in judges.items()}}
            for name, text in texts.items()
        ]

    return head(source) | {"max_length": MAX_LENGTH, "cases": cases(UNICODE_TEXTS), "truncated": cases(TRUNCATED_TEXTS)}


def paddle_judge(version: str) -> Judge:
    """Loads a version into Paddle; gives a function from a text to what a client must be told.

    Raises:
        SystemExit: Paddle gives other logits of the golden texts than golden.json holds.
    """
    from paddlenlp.transformers import BertTokenizer

    folder = MODEL / version
    tokenizer = BertTokenizer.from_pretrained(str(folder))
    infer = paddle_infer(folder)
    for case in golden_of(version)["cases"]:
        found = infer(case["input_ids"])
        if max(abs(a - b) for a, b in zip(found, case["logits"], strict=True)) > SAME_LOGITS:
            sys.exit(f"{folder}: Paddle gives {found} for {case['text']!r}, and golden.json has {case['logits']}")
    labels, temperature = labels_of(version), temperatures()[version]

    def judge(text: str) -> dict[str, Any]:
        ids = tokenizer(text, max_length=MAX_LENGTH, truncation=True)["input_ids"]
        return judged(infer(ids), labels, temperature, len(ids))

    return judge


def paddle_infer(folder: Path) -> Callable[[Sequence[int]], list[float]]:
    """Gives a function from the ids of one text to Paddle's logits of it, in float32."""
    import numpy as np
    from paddle import inference

    config = inference.Config(str(folder / "model.pdmodel"), str(folder / "model.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    predictor = inference.create_predictor(config)

    def infer(ids: Sequence[int]) -> list[float]:
        row = np.asarray([ids], np.int64)
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(row if name == "input_ids" else np.zeros_like(row))
        predictor.run()
        logits = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
        return [float(logit) for logit in logits[0]]

    return infer


def errors() -> dict[str, Any]:
    """Makes errors.json's content."""
    return {
        "format_version": 1,
        "made_by": "tests/vectors/make_vectors.py",
        "source": "docs/operations.md and the comments of protos/sentinova/v1",
        "documents": DOCUMENT_ERRORS,
        "calls": CALL_ERRORS,
    }


MAKERS = {"sentiment": sentiment, "unicode": unicode_cases, "errors": errors}


def write(file: Path, content: dict[str, Any]) -> None:
    """Writes one case a line, all but ASCII escaped: no editor or checkout can change a text unseen."""
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items() if key not in lists]
    parts += [
        f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
        for key, cases in lists.items()
    ]
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="ascii", newline="\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MAKERS, default=list(MAKERS), help="the files to write")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where they go")
    arguments = parser.parse_args(argv)
    for name in arguments.only:
        file = arguments.folder / f"{name}.json"
        write(file, MAKERS[name]())
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
