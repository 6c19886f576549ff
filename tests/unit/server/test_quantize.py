"""The quantize command on a tiny model, with a quantizer that does what a test wants in NNCF's place."""

import json
import shutil
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from openvino import opset13 as ops
from sentinova_server import cli, quantize_command
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import read_config
from sentinova_server.repository.staging import publish_version, stage_version
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.quantized_version import choose_score_tolerance
from sentinova_server.settings import QuantizeSettings

# The model finds the last of them negative by little.
ROWS = "text,label\n" + "good film,positive\nbad film,negative\nnot good bad,negative\n" * 4
TOKENIZER = ["tokenizer_config.json", "vocab.txt"]
HARMFUL, RUINOUS = 0.5, -1.0


def quantized(graph, scale):
    """Gives a graph whose words' weights go through 256 values, and those of the class `negative` are scaled."""
    model = graph.model.clone()
    [gather] = [node for node in model.get_ops() if node.get_type_name() == "Gather"]
    readers = list(gather.output(0).get_target_inputs())
    low, high = (ops.constant(np.float32(value)) for value in (-1, 2))
    fake = ops.fake_quantize(gather, low, high, low, high, 256)
    scaled = ops.multiply(fake, ops.constant(np.array([scale, 1], np.float32)))
    for reader in readers:
        reader.replace_source_output(scaled.output(0))
    return model


@pytest.fixture
def quantizer(monkeypatch):
    """Stands in for NNCF; `scale` sets how much it spoils, the others keep what it was given."""

    class Quantizer:
        scale = 1.0
        inputs = ()
        preset = ""

        def __call__(self, graph, inputs, *, preset, done):
            self.inputs, self.preset = inputs, preset
            done()
            return quantized(graph, self.scale)

    quantizer = Quantizer()
    monkeypatch.setattr(quantize_command, "find_nncf_version", lambda: "0.0")
    monkeypatch.setattr(quantize_command, "quantize_graph", quantizer)
    return quantizer


@pytest.fixture
def model(tiny_repository):
    return tiny_repository / "tiny"


@pytest.fixture
def run(model, tmp_path):
    def run(*arguments, version="1", name="tiny", data=ROWS):
        words = ["quantize", name, version, "--model-repository", str(model.parent)]
        if data is not None:
            (tmp_path / "data.csv").write_text(data)
            words += ["--data", str(tmp_path / "data.csv")]
        result = CliRunner().invoke(cli.main, [*words, *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_version_is_written(run, model, quantizer):
    (model / "1" / "MODEL_CARD.md").write_text("# tiny, version 1\n\nText.\n\n```\n# a comment\n```\n\n## Limits\n")
    result = run()
    assert result.exit_code == 0, result.output
    assert names(model) == ["1", "2"]
    new = model / "2"
    assert names(new) == ["MODEL_CARD.md", "golden.json", "labels.txt", "model.bin", "model.xml", *TOKENIZER]
    assert new.stat().st_mode & 0o777 == (model / "1").stat().st_mode & 0o777
    before, after = (json.loads((folder / "golden.json").read_text()) for folder in (model / "1", new))
    assert after == {**before, "quantized_from": 1, "score_tolerance": 0.02}
    card = (new / "MODEL_CARD.md").read_text()
    assert "| accuracy on 12 texts | 100.00% | 100.00% |" in card
    assert "\n## The card of version 1\n" in card
    assert "\n### tiny, version 1\n\nText.\n\n```\n# a comment\n```\n\n#### Limits\n" in card
    assert "version 2, and answers with it where no version is asked for" in result.output
    assert quantizer.preset == "mixed"
    # The server serves it.
    served, proof = Preparation(new, read_config(model), 2, Engine()).run()
    served.close()
    assert "int8 scores within" in str(proof)


def test_texts_calibrate_one_by_one_without_padding(run, quantizer):
    assert run("--samples", "5").exit_code == 0
    assert len(quantizer.inputs) == 5
    for tensors in quantizer.inputs:
        assert list(tensors) == ["input_ids"]
        [ids] = tensors["input_ids"].tolist()
        assert (ids[0], ids[-1], 0 in ids) == (2, 3, False)  # [CLS], [SEP], and no [PAD]


def test_a_loss_beyond_the_limit_writes_nothing(run, model, quantizer):
    quantizer.scale = HARMFUL
    result = run()
    assert result.exit_code == 1
    assert "accuracy falls from 100.00% to 66.67%: 33.33 points on 12 texts, more than --max-drop 0.5" in result.output
    assert names(model) == ["1"]


def test_without_labels_the_changes_count(run, model, quantizer):
    quantizer.scale = HARMFUL
    result = run(data="text\ngood film\nnot good bad\n")
    assert (result.exit_code, names(model)) == (1, ["1"])
    assert "1 labels change, of which half count as lost: 25.00 points" in result.output


def test_a_limit_that_allows_it_lets_it_pass(run, model, quantizer):
    quantizer.scale = HARMFUL
    assert run("--max-drop", "100").exit_code == 0
    assert "66.67%" in (model / "2" / "MODEL_CARD.md").read_text()
    tolerance = json.loads((model / "2" / "golden.json").read_text())["score_tolerance"]
    assert 0.1 < tolerance < 0.4  # twice what the golden texts show


def test_scores_far_from_paddles_are_never_written(run, model, quantizer):
    quantizer.scale = RUINOUS
    result = run("--max-drop", "100")
    assert (result.exit_code, names(model)) == (1, ["1"])
    assert "What came of it cannot be served: cases.1: a score differs from Paddle's" in result.output
    assert "Nothing was written" in result.output


def test_golden_texts_do_where_there_is_no_file(run, model, quantizer):
    result = run(data=None)
    assert result.exit_code == 0, result.output
    assert "Warning: without --data" in result.stderr
    assert "the 4 golden texts of version 1" in (model / "2" / "MODEL_CARD.md").read_text()


def test_without_golden_values_none_are_made_up(run, model, quantizer):
    (model / "1" / "golden.json").unlink()
    assert "golden.json: is not there to take texts from: give --data" in run(data=None).output
    result = run()
    assert result.exit_code == 0, result.output
    assert not (model / "2" / "golden.json").exists()
    assert "servers do not check the version" in result.output


def test_the_number_is_the_next_one_or_the_one_asked_for(run, model, quantizer):
    shutil.copytree(model / "1", model / "7")
    (model / "config.pbtxt").write_text("version_policy { all {} }")
    (model / ".9").mkdir()
    result = run("--to", "3")
    assert result.exit_code == 0
    assert "answers with version 7" in " ".join(result.output.split())
    assert run().exit_code == 0
    assert names(model) == [".9", "1", "3", "7", "8", "config.pbtxt"]
    result = run("--to", "7")
    assert result.exit_code == 1
    assert "7: exists: give another number by --to" in result.output


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("", "version_policy leaves out 1."),
        ("version_policy { all {} }", "answers with it where no version is asked for.\n"),
        ("version_policy { specific { versions: [1] } }", "does not choose 2"),
    ],
)
def test_what_a_server_serves_is_said(run, model, quantizer, policy, told):
    (model / "config.pbtxt").write_text(policy)
    assert told in run().output


CONFIG = '# Mine.\nparameters { key: "temperature.1" value { string_value: "0.7" } }  # fitted'


def test_the_temperature_is_told_and_left_to_the_user(run, model, quantizer):
    (model / "config.pbtxt").write_text(CONFIG)
    result = run()
    assert 'parameters { key: "temperature.2" value { string_value: "0.7" } }' in result.output
    assert (model / "config.pbtxt").read_text() == CONFIG


def test_the_temperature_is_added_where_that_is_asked_for(run, model, quantizer):
    (model / "config.pbtxt").write_text(CONFIG)
    assert "Set in " in run("--write-config").output
    assert (model / "config.pbtxt").read_text().startswith(CONFIG + "\n")
    assert read_config(model).temperatures == {1: 0.7, 2: 0.7}


def test_a_config_that_cannot_be_changed_is_left_and_the_line_is_told(run, model, quantizer, tmp_path):
    (tmp_path / "elsewhere").write_text(CONFIG)
    (model / "config.pbtxt").symlink_to(tmp_path / "elsewhere")
    result = run("--write-config")
    assert result.exit_code == 0
    assert "It cannot be changed here, as it is a symbolic link" in result.output
    assert 'key: "temperature.2"' in result.output
    assert (model / "config.pbtxt").read_text() == CONFIG


def test_no_line_is_needed_where_one_temperature_holds_for_all(run, model, quantizer):
    content = 'parameters { key: "temperature" value { string_value: "0.7" } }\n'
    (model / "config.pbtxt").write_text(content)
    assert "temperature" not in run("--write-config").output
    assert (model / "config.pbtxt").read_text() == content


def test_another_temperature_of_the_number_is_changed_only_where_that_is_asked_for(run, model, quantizer):
    content = CONFIG + '\nparameters { key: "temperature.2" value { string_value: "2" } }  # of an older one\n'
    (model / "config.pbtxt").write_text(content)
    assert "gives version 2 another temperature" in run().output
    assert (model / "config.pbtxt").read_text() == content
    shutil.rmtree(model / "2")
    assert run("--write-config").exit_code == 0
    assert (model / "config.pbtxt").read_text() == content.replace('"2" }', '"0.7" }')


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"name": "other"}, 1, "has no model 'other', only ['tiny']"),
        ({"name": "../tiny"}, 1, "has no model '../tiny'"),
        ({"version": "5"}, 1, "has no version 5, only [1]"),
        ({"version": "one"}, 2, "'VERSION'"),
        ({"version": "0"}, 2, "'VERSION'"),
        ({"data": "review\nx\n"}, 1, "has no column 'text', only ['review']"),
        ({"data": ""}, 1, "has no column 'text'"),
        ({"data": "text,label\ngood,splendid\n"}, 1, "line 2: label 'splendid' is none of the model's"),
        ({"data": "text\n\u200b\n"}, 1, "has no text"),
    ],
)
def test_faults_are_named_and_leave_nothing(run, model, quantizer, options, code, told):
    result = run(**options)
    assert result.exit_code == code, result.output
    assert told in result.output
    assert names(model) == ["1"]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--samples", "0", "--samples: Input should be greater than or equal to 1"),
        ("--max-drop", "-1", "--max-drop"),
        ("--to", "-2", "--to"),
        ("--preset", "best", "'--preset'"),
    ],
)
def test_wrong_flags_are_named(run, option, value, told):
    result = run(option, value)
    assert result.exit_code == 2
    assert told in result.output


def test_a_quantized_version_is_not_quantized_again(run, model, quantizer):
    assert run().exit_code == 0
    result = run(version="2")
    assert result.exit_code == 1
    assert "2: is quantized already" in result.output


def test_a_version_that_fails_its_golden_values_is_not_quantized(run, model, quantizer, tiny_version):
    tiny_version(model / "2", scale=1.5)
    result = run(version="2")
    assert result.exit_code == 1
    assert "differ by" in result.output
    assert names(model) == ["1", "2"]


def test_without_nncf_the_extra_is_named(run, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    result = run()
    assert result.exit_code == 1
    assert "pip install 'sentinova[quantize]'" in result.output
    assert names(model) == ["1"]


def test_a_repository_that_cannot_be_written_is_named_before_the_work(run, model, quantizer, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    result = run()
    assert result.exit_code == 1
    assert "no version can be written there: Permission denied" in result.output
    assert quantizer.inputs == ()


def test_an_interrupted_run_leaves_nothing(run, model, monkeypatch, quantizer):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize_command, "save_graph", interrupt)
    assert run().exit_code == 1
    assert names(model) == ["1"]


def test_a_version_that_appears_meanwhile_is_kept(tmp_path):
    with stage_version(tmp_path, 2) as stage:
        assert stage.name.startswith(".")
        (tmp_path / "2").mkdir()
        with pytest.raises(LoadError, match="exists by now"):
            publish_version(stage, 2)
    assert names(tmp_path) == ["2"]


@pytest.mark.parametrize(("difference", "tolerance"), [(0, 0.02), (0.0531, 0.107), (0.1, 0.2), (0.4, 0.49)])
def test_the_tolerance_has_head_room_and_bounds(difference, tolerance):
    assert choose_score_tolerance(difference) == tolerance


def test_settings_have_the_documented_defaults():
    settings = QuantizeSettings(model_repository="models")
    assert (settings.samples, settings.preset, settings.max_drop, settings.to) == (300, "mixed", 0.5, 0)
