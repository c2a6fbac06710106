"""Reading and writing labelled frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shared_data import needs_shared

from ferrojax.data import Frame, read_frames, write_frames
from ferrojax.data.ase_files import as_matrix
from ferrojax.errors import FerrojaxError

CELL = "4.0 0.0 0.0 0.0 4.1 0.0 0.0 0.1 4.2"
ATOMS = "Pb 0.1 0.0 0.0 0.1 0.2 0.3\nO 2.0 2.0 2.1 -0.1 -0.2 -0.3\n"


def xyz(path: Path, header: str = "energy=-10.5", lattice: str = CELL, atoms: str = ATOMS, count: int = 2) -> Path:
    path.write_text(f'{count}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 {header} pbc="T T T"\n{atoms}')
    return path


def test_embedded_set_agrees_with_ase():
    frames = read_frames("pbtio3-v1")
    from importlib.resources import files

    images = read(str(files("ferrojax.data") / "pbtio3-v1" / "pbtio3-v1.extxyz"), ":")
    for frame, atoms in zip(frames, images, strict=True):
        assert frame.energy == atoms.get_potential_energy()
        np.testing.assert_array_equal(frame.forces, atoms.get_forces())
        np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), rtol=0, atol=1e-15)
        np.testing.assert_array_equal(frame.dipole, atoms.get_dipole_moment())
        assert frame.atoms.calc is None
        assert frame.dataset == "pbtio3-v1"
    assert frames[12].source == "pbtio3-v1.extxyz, frame 12"


@pytest.mark.parametrize("key", ["energy", "total_energy", "REF_energy", "free_energy", "DFT_energy"])
def test_energy_aliases(tmp_path, key):
    frame = read_frames(xyz(tmp_path / "a.xyz", f"{key}=-10.5"))[0]
    assert frame.energy == -10.5
    assert frame.keys["energy"] == key
    assert frame.dataset == "a"


def test_energy_is_preferred_to_free_energy(tmp_path):
    assert read_frames(xyz(tmp_path / "a.xyz", "energy=-10.5 free_energy=-10.6"))[0].energy == -10.5


def test_keys_override_and_unknown_quantities_are_left_out(tmp_path):
    path = xyz(tmp_path / "a.xyz", "my_energy=-1.25 energy=-10.5 band_gap=2.0")
    frame = read_frames(path, keys={"energy": "my_energy"})[0]
    assert frame.energy == -1.25
    assert set(frame.labels()) == {"energy", "forces"}
    with pytest.raises(FerrojaxError, match=r"a\.xyz, frame 0: no key 'missing'.*band_gap"):
        read_frames(path, keys={"energy": "missing"})
    with pytest.raises(FerrojaxError, match="bandgap is no label"):
        read_frames(path, keys={"bandgap": "band_gap"})


def test_two_different_energies_are_refused(tmp_path):
    path = xyz(tmp_path / "a.xyz", "energy=-10.5 REF_energy=-11")
    with pytest.raises(FerrojaxError, match=r"given twice.*keys="):
        read_frames(path)
    assert read_frames(path, keys={"energy": "REF_energy"})[0].energy == -11


def test_stress_from_nine_six_and_virial(tmp_path):
    tensor = np.array([[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]]) * 1e-3
    nine = " ".join(map(str, tensor.ravel()))
    six = "1e-3 2e-3 3e-3 4e-4 5e-4 6e-4"
    volume = 4.0 * 4.1 * 4.2
    virial = " ".join(map(str, (-volume * tensor).ravel()))
    for k, header in enumerate(
        [f'stress="{nine}"', f'REF_stress="{nine}"', f'REF_stress="{six}"', f'virial="{virial}"', f'virials="{virial}"']
    ):
        np.testing.assert_allclose(read_frames(xyz(tmp_path / f"{k}.xyz", header))[0].stress, tensor, atol=1e-15)


def test_stress_sign_is_that_of_ase(tmp_path):
    """A stretched crystal: tension is positive; the file is written by ASE from its own EMT potential."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell * 1.03, scale_atoms=True)
    atoms.calc = EMT()
    expected = atoms.get_stress(voigt=False)
    atoms.get_forces()
    write(tmp_path / "cu.extxyz", atoms)
    frame = read_frames(tmp_path / "cu.extxyz")[0]
    np.testing.assert_allclose(frame.stress, expected, atol=1e-9)
    assert np.trace(frame.stress) > 0


def test_other_ase_formats(tmp_path):
    atoms = bulk("MgO", "rocksalt", 4.2)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.array([[0, 0, 0.1], [0, 0, -0.1]]), dipole=np.array([0.1, 0.2, 0.3]))
    write(tmp_path / "a.traj", [atoms, atoms])
    frames = read_frames(tmp_path / "a.traj")
    assert len(frames) == 2
    assert frames[1].energy == -3.0
    np.testing.assert_array_equal(frames[1].dipole, [0.1, 0.2, 0.3])


def test_born_charge_order_and_polarizability(tmp_path):
    born = np.arange(18.0).reshape(2, 9)
    rows = "\n".join(f"{s} {x} 0 0 " + " ".join(map(str, b)) for s, x, b in zip(("Pb", "O"), (0.0, 2.0), born))
    (tmp_path / "a.xyz").write_text(
        f'2\nLattice="{CELL}" Properties=species:S:1:pos:R:3:born_charge:R:9 polarization="1 2 3" '
        f'polarizability="1 2 3 4 5 6 7 8 9"\n{rows}\n'
    )
    frame = read_frames(tmp_path / "a.xyz")[0]
    assert frame.born_charges[1, 0, 2] == 11.0  # polarization along x, displacement along z
    assert frame.polarizability[0, 2] == 3.0
    np.testing.assert_array_equal(frame.dipole, [1, 2, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"header": "energy=nan"}, r"a\.xyz, frame 0: the energy label is NaN"),
        ({"atoms": ATOMS.replace("0.2 0.3\n", "inf 0.3\n", 1)}, r"frame 0: the forces label of atom 0 is NaN or infinite"),
        ({"atoms": ATOMS.replace("2.0", "nan", 1)}, r"the position of atom 1 is not finite"),
        ({"lattice": "4 0 0 0 4 0 0 0 -4"}, "left-handed.*swap two lattice vectors"),
        ({"lattice": "4 0 0 0 4 0 4 4 0"}, "flat"),
        ({"lattice": "0.4 0 0 0 0.4 0 0 0 0.42"}, "flat.*in Å"),
        ({"atoms": ATOMS.replace("Pb", "Xq")}, "frame 0: cannot be read .*Xq"),
        ({"atoms": ATOMS.replace("Pb", "X")}, "atom 0 is of an unknown element"),
        ({"count": 3}, "frame 0: cannot be read .*expected 3"),
        ({"header": 'dipole="1 2"'}, r"dipole has shape \(2,\), not \(3,\)"),
        ({"header": 'pbc="T T F"'}, "not periodic"),
        ({"header": "energy=lots"}, "energy under 'energy' is not numeric"),
    ],
)
def test_bad_frames_are_named(tmp_path, text, message):
    path = xyz(tmp_path / "a.xyz", **text)
    if "pbc" in text.get("header", ""):
        path.write_text(path.read_text().replace(' pbc="T T T"', ""))
    with pytest.raises(FerrojaxError, match=message):
        read_frames(path)


def test_the_right_frame_is_named(tmp_path):
    path = xyz(tmp_path / "a.xyz")
    good = path.read_text()
    path.write_text(good + good + good.replace("-10.5", "nan") + good)
    with pytest.raises(FerrojaxError, match="frame 2: the energy label is NaN"):
        read_frames(path)
    errors: list[FerrojaxError] = []
    assert len(read_frames(path, on_error=errors.append)) == 3
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.xyz", None, "no such file or folder"),
        ("empty.xyz", "", "zero frames|cannot be read"),
        ("noise.xyz", "hello\nworld\n", "cannot be read"),
        ("noise.bin", "\x00\x01\x02", "cannot be read"),
        ("zero.xyz", "0\nProperties=species:S:1:pos:R:3\n", "no atoms|cannot be read"),
        ("plain.xyz", "1\n\nPb 0 0 0\n", "not periodic"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(FerrojaxError, match=message):
        read_frames(tmp_path / name)


def test_a_file_without_known_labels(tmp_path):
    (tmp_path / "a.xyz").write_text(f'1\nLattice="{CELL}" Properties=species:S:1:pos:R:3 magic=1\nPb 0 0 0\n')
    with pytest.raises(FerrojaxError, match="no label was recognised in 1 frames"):
        read_frames(tmp_path / "a.xyz")


def test_filters(tmp_path):
    path = xyz(tmp_path / "a.xyz")
    second = path.read_text().replace("Pb", "Ba")
    path.write_text(path.read_text() + second)
    assert [f.source for f in read_frames(path, elements=["Ba", "O", "Ti"])] == ["a.xyz, frame 1"]
    assert len(read_frames(path, systems=["OPb"])) == 1
    with pytest.raises(FerrojaxError, match=r"no frame is left.*elements Ti.*2 frames were looked at"):
        read_frames(path, elements=["Ti"])
    with pytest.raises(FerrojaxError, match="Xq is no chemical element"):
        read_frames(path, elements=["Xq"])


def test_folder_of_xyz_files(tmp_path):
    xyz(tmp_path / "a.xyz")
    xyz(tmp_path / "b.extxyz")
    assert [f.source for f in read_frames(tmp_path)] == ["a.xyz, frame 0", "b.extxyz, frame 0"]
    assert {f.dataset for f in read_frames(tmp_path, dataset="mine")} == {"mine"}
    (tmp_path / "sub").mkdir()
    with pytest.raises(FerrojaxError, match="neither DeePMD systems"):
        read_frames(tmp_path / "sub")


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=30, deadline=None)
@given(
    forces=arrays(float, (2, 3), elements=finite),
    born=arrays(float, (2, 3, 3), elements=finite),
    stress=arrays(float, 6, elements=finite),
    energy=finite,
    dipole=arrays(float, 3, elements=finite),
    polarizability=arrays(float, (3, 3), elements=finite),
    system=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8),
)
def test_round_trip_is_exact(tmp_path_factory, forces, born, stress, energy, dipole, polarizability, system):
    atoms = Atoms("PbO", positions=[[0.1, 1 / 3, 0], [2, 2, np.pi]], cell=[[4, 0, 0.1], [0, 4.1, 0], [1 / 7, 0, 4]], pbc=True)
    path = tmp_path_factory.mktemp("round") / "a.extxyz"
    frame = Frame(atoms, energy, forces, as_matrix(stress), dipole, born, polarizability, "set", f"s-{system}")
    write_frames(path, [frame, Frame(atoms, energy=1.0)])
    back, bare = read_frames(path)
    for label, value in frame.labels().items():
        np.testing.assert_array_equal(getattr(back, label), value)
    np.testing.assert_array_equal(back.atoms.positions, atoms.positions)
    np.testing.assert_array_equal(back.atoms.cell.array, atoms.cell.array)
    assert (back.dataset, back.system) == ("set", f"s-{system}")
    assert set(bare.labels()) == {"energy"}


def test_written_file_is_read_by_ase(tmp_path):
    frames = read_frames("pbtio3-v1")
    write_frames(tmp_path / "a.extxyz", frames)
    for atoms, frame in zip(read(tmp_path / "a.extxyz", ":"), frames):
        assert atoms.get_potential_energy() == frame.energy
        np.testing.assert_allclose(atoms.get_stress(voigt=False), frame.stress, atol=1e-15)


def test_nothing_half_written(tmp_path):
    frames = read_frames("pbtio3-v1")[:2]
    frames[1].energy = np.nan
    with pytest.raises(FerrojaxError, match="frame 1: the energy label is NaN"):
        write_frames(tmp_path / "a.extxyz", frames)
    with pytest.raises(FerrojaxError, match="zero frames to write"):
        write_frames(tmp_path / "a.extxyz", [])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FerrojaxError, match="cannot be written"):
        write_frames(tmp_path / "no" / "a.extxyz", read_frames("pbtio3-v1")[:1])


@pytest.mark.shared
def test_unipero_against_dpdata():
    root = needs_shared("unipero-pbesol")
    dpdata = pytest.importorskip("dpdata")
    system = dpdata.LabeledSystem(str(root / "init.004"), fmt="deepmd/npy")
    frames = read_frames(root, systems=["init.004"])
    assert len(frames) == 18
    for k, frame in enumerate(frames):
        assert list(frame.atoms.symbols) == [system["atom_names"][t] for t in system["atom_types"]]
        assert frame.energy == system["energies"][k]
        np.testing.assert_allclose(frame.stress, -system["virials"][k] / frame.atoms.get_volume(), rtol=1e-12)


@pytest.mark.shared
def test_unipero_is_read_whole():
    root = needs_shared("unipero-pbesol")
    frames = read_frames(root)
    assert len(frames) == 17809
    assert len({frame.system for frame in frames}) == 122
    titanates = read_frames(root, elements=["Ba", "Sr", "Pb", "Ca", "Ti", "O"])
    assert {s for f in titanates for s in f.atoms.symbols} == {"Ba", "Sr", "Pb", "Ca", "Ti", "O"}


@pytest.mark.shared
def test_born_charge_order_of_batio3_response():
    """Finite differences of the dipole over the closest pairs of frames decide which index is the polarization."""
    frames = read_frames(needs_shared("batio3-response") / "BaTiO3.xyz")
    length = np.diag(frames[0].atoms.cell.array)
    pairs = []
    for j, second in enumerate(frames):
        for first in frames[:j]:
            shift = second.atoms.positions - first.atoms.positions
            shift -= length * np.round(shift / length)
            pairs.append((np.linalg.norm(shift), shift, second.dipole - first.dipole, 0.5 * (first.born_charges + second.born_charges)))
    pairs.sort(key=lambda pair: pair[0])

    def misfit(subscripts: str) -> float:
        errors = [change - np.einsum(subscripts, born, shift) for _, shift, change, born in pairs[:10]]
        return float(np.sqrt(np.mean([(e - length * np.round(e / length)) ** 2 for e in errors])))

    assert misfit("nab,nb->a") < 0.03
    assert misfit("nba,nb->a") > 3 * misfit("nab,nb->a")
