"""Which folders are models and versions, and that a bad one hides no good one."""

import shutil
from pathlib import Path

import pytest
from sentinova_server.errors import LoadError
from sentinova_server.repository import scanner
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.fingerprint import fingerprint_file, take_fingerprint
from sentinova_server.repository.scanner import RepositoryScanner, list_models, scan_model, scan_repository


def make(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


def test_models_and_their_versions(tmp_path):
    make(tmp_path, "b/1", "a/2", "a/10", ".git/1")
    (tmp_path / "a/config.pbtxt").write_text("version_policy { all {} }")
    (tmp_path / "README.md").write_text("not a model")
    a, b = scan_repository(tmp_path)
    assert (a.name, list(a.versions), a.problem) == ("a", [2, 10], "")
    assert a.versions[10] == tmp_path / "a" / "10"
    assert (b.name, list(b.versions)) == ("b", [1])


@pytest.mark.parametrize("name", ["01", "abc", "0", "1.tmp", "1e3", "-1", "٣", "9223372036854775808"])
def test_names_that_are_no_versions_are_told(tmp_path, name):
    make(tmp_path, "m/1", f"m/{name}")
    model = scan_model(tmp_path / "m")
    assert list(model.versions) == [1]
    assert model.ignored == (name,)


def test_hidden_folders_and_files_are_passed_over(tmp_path):
    make(tmp_path, "m/1", "m/.tmp")
    (tmp_path / "m/2").write_text("a file")
    model = scan_model(tmp_path / "m")
    assert (list(model.versions), model.ignored) == ([1], ())


def test_the_policy_chooses_and_what_it_misses_is_told(tmp_path):
    make(tmp_path, "m/1", "m/2", "m/3")
    assert list(scan_model(tmp_path / "m").versions) == [3]
    (tmp_path / "m/config.pbtxt").write_text("version_policy { specific { versions: [1, 7] } }")
    model = scan_model(tmp_path / "m")
    assert (list(model.versions), model.missing) == ([1], (7,))


def test_a_model_with_a_bad_config_or_no_version_is_told_and_the_others_are_there(tmp_path):
    make(tmp_path, "bad/1", "empty", "good/1")
    (tmp_path / "bad/config.pbtxt").write_text("version_polisy {}")
    bad, empty, good = scan_repository(tmp_path)
    assert "config.pbtxt: line 1, column 1" in bad.problem
    assert bad.config is None
    assert "has no version to serve" in empty.problem
    assert good.problem == ""


def test_a_repository_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(LoadError, match="is not a folder"):
            scan_repository(path)


def test_all_versions_are_found_with_what_they_look_like(tmp_path):
    make(tmp_path, "m/1", "m/2", "m/10", "m/.3", "m/03")
    (tmp_path / "m/2/model.xml").write_text("graph")
    model = scan_model(tmp_path / "m")
    assert list(model.versions) == [10]
    assert list(model.found) == [1, 2, 10]
    assert model.found[2] == take_fingerprint(tmp_path / "m" / "2")
    (tmp_path / "m/2/model.bin").write_text("weights")
    assert scan_model(tmp_path / "m").found[2] != model.found[2]
    assert scan_model(tmp_path / "m").found[1] == model.found[1]


def test_the_config_is_given_as_it_stands(tmp_path):
    make(tmp_path, "m/1")
    model = scan_model(tmp_path / "m")
    assert (model.config, model.config_text, model.config_fingerprint) == (ModelConfig("m"), "", None)
    file = tmp_path / "m" / "config.pbtxt"
    file.write_text("# mine\nmax_batch_size: 3\n")
    model = scan_model(tmp_path / "m")
    assert (model.config.max_batch_size, model.config_text) == (3, "# mine\nmax_batch_size: 3\n")
    assert model.config_fingerprint == fingerprint_file(file)


def test_with_a_bad_config_the_versions_are_found_all_the_same(tmp_path):
    make(tmp_path, "m/1", "m/2")
    (tmp_path / "m/config.pbtxt").write_text("nmae: 1")
    model = scan_model(tmp_path / "m")
    assert (model.config, model.versions, list(model.found), model.config_text) == (None, {}, [1, 2], "nmae: 1")
    assert model.config_fingerprint == fingerprint_file(tmp_path / "m/config.pbtxt")
    assert model.listed


def test_a_config_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    make(tmp_path, "m/1")
    file = tmp_path / "m" / "config.pbtxt"
    file.write_text("max_batch_size: 1")
    original = scanner.read_config_text

    def replace_after(folder):
        text = original(folder)
        monkeypatch.setattr(scanner, "read_config_text", original)
        file.with_name("new").write_text("max_batch_size: 2")
        file.with_name("new").rename(file)
        return text

    monkeypatch.setattr(scanner, "read_config_text", replace_after)
    model = scan_model(tmp_path / "m")
    assert (model.config.max_batch_size, model.config_fingerprint) == (2, fingerprint_file(file))


def test_links_are_followed_and_dangling_ones_passed_over(tmp_path):
    make(tmp_path, "store/v1", "store/m/1", "r/m")
    (tmp_path / "store/v1/model.xml").write_text("graph")
    (tmp_path / "r/m/1").symlink_to(tmp_path / "store/v1")
    (tmp_path / "r/m/2").symlink_to(tmp_path / "store/v2")
    (tmp_path / "r/linked").symlink_to(tmp_path / "store/m")
    (tmp_path / "r/lost").symlink_to(tmp_path / "nowhere")
    linked, m = scan_repository(tmp_path / "r")
    assert (linked.name, list(linked.found)) == ("linked", [1])
    assert (m.name, list(m.found), m.ignored) == ("m", [1], ())
    assert m.found[1].files[0].path == "model.xml"
    before = m.found[1]
    make(tmp_path, "store/v2")
    shutil.copy(tmp_path / "store/v1/model.xml", tmp_path / "store/v2")
    (tmp_path / "r/m/1").unlink()
    (tmp_path / "r/m/1").symlink_to(tmp_path / "store/v2")
    after = scan_model(tmp_path / "r/m")
    assert list(after.found) == [1, 2]
    assert after.found[1] != before


def test_names_of_models(tmp_path):
    make(tmp_path, "b", "a", ".a.stage-1-x")
    (tmp_path / "file").write_text("")
    assert list_models(tmp_path) == ["a", "b"]
    with pytest.raises(LoadError, match="is not a folder"):
        list_models(tmp_path / "file")


def test_a_model_that_cannot_be_listed_hides_no_other_and_says_nothing_of_its_versions(tmp_path, monkeypatch):
    make(tmp_path, "bad/1", "good/1")
    config = tmp_path / "bad" / "config.pbtxt"
    config.write_text("# mine")
    iterdir = Path.iterdir

    def refuse(path):
        if path.name == "bad":
            raise OSError(5, "Input/output error")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    bad, good = scan_repository(tmp_path)
    assert (bad.listed, bad.found, bad.problem) == (
        False,
        {},
        f"{tmp_path / 'bad'}: cannot be listed: Input/output error",
    )
    assert (bad.config_text, bad.config_fingerprint) == ("# mine", fingerprint_file(config))
    assert (good.listed, list(good.found), good.problem) == (True, [1], "")


def test_a_folder_of_which_nothing_can_be_known_is_a_model_with_a_problem(tmp_path, monkeypatch):
    make(tmp_path, "bad/1", "good/1")
    is_dir = Path.is_dir

    def refuse(path):
        if path.name == "bad":
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert [model.name for model in scan_repository(tmp_path)] == ["bad", "good"]


def test_a_repository_that_became_another_folder_and_empty_is_refused(tmp_path):
    make(tmp_path, "r/m/1")
    repository = RepositoryScanner(tmp_path / "r")
    assert [model.name for model in repository.scan()] == ["m"]
    # As when its volume is no longer mounted there.
    (tmp_path / "r").rename(tmp_path / "volume")
    with pytest.raises(LoadError, match="cannot be looked at: No such file or directory"):
        repository.scan()
    make(tmp_path, "r")
    for _ in range(2):
        with pytest.raises(LoadError, match="is another folder now, and empty"):
            repository.scan()
    # Mounted again.
    (tmp_path / "r").rmdir()
    (tmp_path / "volume").rename(tmp_path / "r")
    assert [model.name for model in repository.scan()] == ["m"]


def test_a_repository_that_was_emptied_is_empty(tmp_path):
    make(tmp_path, "r/m/1")
    repository = RepositoryScanner(tmp_path / "r")
    repository.scan()
    shutil.rmtree(tmp_path / "r" / "m")
    assert repository.scan() == []


def test_a_repository_that_was_made_anew_with_models_is_taken(tmp_path):
    make(tmp_path, "r/m/1", "new/n/1")
    repository = RepositoryScanner(tmp_path / "r")
    repository.scan()
    shutil.rmtree(tmp_path / "r")
    (tmp_path / "new").rename(tmp_path / "r")
    assert [model.name for model in repository.scan()] == ["n"]
    # From now on, that is the folder to be held to.
    shutil.rmtree(tmp_path / "r" / "n")
    assert repository.scan() == []


def test_a_repository_that_never_had_models_may_become_another_folder(tmp_path):
    make(tmp_path, "r")
    repository = RepositoryScanner(tmp_path / "r")
    assert repository.scan() == []
    (tmp_path / "r").rename(tmp_path / "old")
    make(tmp_path, "r")
    assert repository.scan() == []


def test_a_repository_that_goes_away_in_mid_scan_is_refused(tmp_path, monkeypatch):
    make(tmp_path, "r/a/1", "r/b/1", "empty")
    repository = RepositoryScanner(tmp_path / "r")
    original = scanner.scan_model

    def unmount_before(folder):
        if folder.name == "b":
            (tmp_path / "r").rename(tmp_path / "volume")
            (tmp_path / "empty").rename(tmp_path / "r")
        return original(folder)

    monkeypatch.setattr(scanner, "scan_model", unmount_before)
    with pytest.raises(LoadError, match="became another folder"):
        repository.scan()
