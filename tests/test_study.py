"""The command line of the experiments: settings, a folder beside them, help, and one sentence for what cannot be read."""

import sys

import pytest

from ferrojax.study import read_study


def test_settings_and_a_folder_of_their_name(tmp_path, monkeypatch):
    (tmp_path / "scan.yaml").write_text("shape: [4, 4, 4]\n")
    monkeypatch.setattr(sys, "argv", ["scan.py", str(tmp_path / "scan.yaml")])
    assert read_study("A scan.") == ({"shape": [4, 4, 4]}, tmp_path / "scan") and (tmp_path / "scan").is_dir()
    assert read_study("A scan.")[1] == tmp_path / "scan"  # once more, to go on


def test_help_says_what_the_study_is(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scan.py", "--help"])
    with pytest.raises(SystemExit) as end:
        read_study("A scan\nof a thousand fields.")
    assert end.value.code == 0 and "A scan\nof a thousand fields." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read (No such file or directory); give the path of a YAML file."),
        ("a: [", "not valid YAML"),
        ("- 1", "not a YAML mapping"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, text, sentence):
    path = tmp_path / "scan.yaml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["scan.py", str(path)])
    with pytest.raises(SystemExit) as end:
        read_study(None)
    assert str(end.value.code).startswith(f"{path}: {sentence}") and not path.with_suffix("").exists()
