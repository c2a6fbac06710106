"""`ferrojax relax` and `ferrojax response`: files in, files out, one sentence for bad input."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from lead_titanate import MODEL

from ferrojax import cli
from ferrojax.errors import FerrojaxError
from ferrojax.response.command import cell_mask

SITES = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]


@pytest.fixture
def structure(tmp_path):
    write(tmp_path / "start.vasp", Atoms("PbTiO3", scaled_positions=SITES, cell=[3.874, 3.874, 4.2], pbc=True))
    return tmp_path / "start.vasp"


@pytest.mark.slow
def test_relax_then_respond(structure, tmp_path, capsys):
    """Under pressure, keeping the symmetry; the file written is at rest at that pressure and opens in ASE."""
    out = tmp_path / "deep" / "relaxed.xyz"
    arguments = ["relax", str(structure), "--model", str(MODEL), "--pressure", "1", "--symmetry", "--force-tolerance", "1e-7"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "P4mm (99) before, P4mm (99) after" in text and "softest mode" in text
    atoms = read(out)
    np.testing.assert_allclose(atoms.get_stress() * 160.21766, [-1, -1, -1, 0, 0, 0], atol=1e-4)
    assert np.abs(atoms.get_forces()).max() < 1e-6
    response = ["response", str(out), "--model", str(MODEL), "--json", str(tmp_path / "t.json"), "--born", str(tmp_path / "BORN")]
    assert cli.main(response) == 0
    assert "elastic_open (GPa)" in capsys.readouterr().out
    tensors = json.loads((tmp_path / "t.json").read_text())
    np.testing.assert_allclose(tensors["tensors"]["stress"]["value"][:3], [-1, -1, -1], atol=1e-4)
    assert tensors["group"] == "P4mm (99)" and len((tmp_path / "BORN").read_text().splitlines()) == 6
    assert cli.main(["response", str(structure), "--model", str(MODEL)]) == 2
    assert "not at rest, the largest force is" in capsys.readouterr().err


def test_response_of_a_well_of_local_modes(tmp_path, capsys):
    assert cli.main(["response", "--effective", "pbtio3-lda", "--json", str(tmp_path / "t.json")]) == 0
    assert "P4mm (99)" in capsys.readouterr().out
    tensors = json.loads((tmp_path / "t.json").read_text())["tensors"]
    assert tensors["e"]["value"][2][2] == pytest.approx(4.1795, abs=5e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["relax", "nowhere.vasp", "--model", str(MODEL)], "nowhere.vasp: there is no such file"),
        (["relax", "nowhere.vasp", "--model", "no-model"], "no-model"),
        (["relax", "x.vasp", "--model", str(MODEL), "--pressure", "1", "--stress", *"123456"], "not both"),
        (["relax", "x.vasp", "--model", str(MODEL), "--out", "relaxed.nonsense"], "ASE knows no format of that name"),
        (["response", "x.vasp"], "give a STRUCTURE and --model"),
        (["response", "--effective", "nonsense"], "nonsense"),
        (["response", "--effective", "pbtio3-lda", "--born", "BORN"], "--born and --field are for a STRUCTURE"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments, words, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_words_for_the_free_strains():
    assert cell_mask("full") is True and cell_mask("fixed") is False
    np.testing.assert_array_equal(cell_mask("zz,xz"), [[0, 0, 1], [0, 0, 0], [1, 0, 1]])
    with pytest.raises(FerrojaxError, match="components of xx,yy,zz,yz,xz,xy"):
        cell_mask("diagonal")
