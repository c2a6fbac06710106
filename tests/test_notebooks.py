"""The notebooks run from top to bottom, and what is stored is the output of what they say."""

from __future__ import annotations

import base64
import struct
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from ase import Atoms

from ferrojax import plotting
from ferrojax.errors import FerrojaxError
from ferrojax.plotting import view

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SLOW = {"4-flexoelectricity"}  # third and fourth derivatives, which take minutes to compile
READABLE = 150  # dots an inch


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_output_is_of_one_run(path):
    """Cells were run in order, none failed, and what they draw can be seen."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert not any("/home/" in str(output) or "Traceback" in str(output) for output in outputs)
    drawing = [cell for cell in cells if any(word in f"{cell.source} {cell.outputs}" for word in ("plotting.figure(", "<Figure size"))]
    assert drawing
    for cell in drawing:
        widths = [png_width(output.data["image/png"]) for output in cell.outputs if "image/png" in output.get("data", {})]
        assert widths and min(widths) > 0.95 * READABLE * plotting.COLUMN / 25.4, cell.source
    # An object that shows itself by a script leaves its name behind where it is not asked to: .show() does.
    assert not any("<py3Dmol" in output.get("data", {}).get("text/plain", "") for output in outputs)


def png_width(text):
    """Pixels."""
    return struct.unpack(">I", base64.b64decode(text)[16:20])[0]


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem) for path in NOTEBOOKS]
)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    before = path.read_bytes()
    sys.modules.pop("notebooks", None)
    import notebooks

    notebooks.execute(path, write=False)
    assert path.read_bytes() == before


def test_a_view_has_an_arrow_for_each_vector():
    atoms = Atoms("PbTi", positions=[[0, 0, 0], [2, 2, 2]], cell=[4.0] * 3, pbc=True)
    script = view(atoms, np.array([[0.0, 0.0, 0.1], [0.0, 0.0, -0.2]])).startjs
    assert script.count("addArrow") == 2 and script.count("addLine") == 12
    assert view(atoms, np.array([[0.0, 0.0, 0.1], [0.0, 0.0, 0.0]])).startjs.count("addArrow") == 1
    with pytest.raises(FerrojaxError, match=r"2 atoms need vectors of shape \(2, 3\); got \(3, 3\)"):
        view(atoms, np.zeros((3, 3)))


def test_a_view_does_not_cry_wolf_before_its_script_runs():
    shown = view(Atoms("Pb", cell=[4.0] * 3, pbc=True)).startjs
    assert "failed to load" not in shown and "needs JavaScript" in shown and "3dmolwarning_UNIQUEID" in shown
