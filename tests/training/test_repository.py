"""Version folders are replaced whole; the config keeps what other versions set."""

from __future__ import annotations

from pathlib import Path

from sentinova_training import repository


def test_a_version_replaces_the_one_that_is_there(tmp_path: Path):
    staged, target = tmp_path / "staged", tmp_path / "models" / "m" / "2"
    for folder, name in ((staged, "new"), (target, "old")):
        folder.mkdir(parents=True)
        (folder / name).write_text(name)
    repository.place(staged, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["2"]


def test_each_export_adds_its_temperature(tmp_path: Path):
    config = tmp_path / "config.pbtxt"
    assert repository.update_config(config, "m", 2, 1.25, 512)
    assert repository.update_config(config, "m", 1, 0.5, 512)
    text = config.read_text()
    assert repository.known_temperatures(text) == {1: 0.5, 2: 1.25}
    assert 'name: "m"' in text
    assert 'backend: "openvino"' in text
    assert "version_policy { all {} }" in text
    assert 'key: "max_length" value { string_value: "512" }' in text


def test_a_config_that_a_person_took_over_is_left_alone(tmp_path: Path):
    config = tmp_path / "config.pbtxt"
    config.write_text('name: "mine"\n')
    assert not repository.update_config(config, "m", 1, 0.5, 512)
    assert config.read_text() == 'name: "mine"\n'
