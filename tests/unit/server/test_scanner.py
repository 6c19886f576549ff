"""Which folders are models and versions, and that a bad one hides no good one."""

import pytest
from sentinova_server.errors import LoadError
from sentinova_server.repository.scanner import scan_model, scan_repository


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
