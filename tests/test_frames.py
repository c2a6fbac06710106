"""Trajectories of all formats as one stream, against ASE and MDAnalysis."""

import gc
import tracemalloc

import ase.io
import h5py
import numpy as np
import pytest
from perovskites import crystal, trajectory, write_dump, write_h5md

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import frames
from ferrojax.ferroelectrics.frames import frame_count

NAMES = ("run.h5", "run.extxyz", "run.traj", "run.dump", "scaled.dump")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One trajectory in every format."""
    folder, made = tmp_path_factory.mktemp("trajectories"), trajectory()
    write_all(folder, made)
    return folder, made


def write_all(folder, made):
    write_h5md(folder / "run.h5", made)
    ase.io.write(folder / "run.extxyz", made)
    ase.io.write(folder / "run.traj", made)
    write_dump(folder / "run.dump", made)
    write_dump(folder / "scaled.dump", made, scaled=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [1, 4])
def test_all_formats_give_the_same_frames(written, name, every):
    folder, made = written
    read = list(frames(folder / name, every))
    assert len(read) == len(made[::every])
    assert frame_count(folder / name, every) == (len(read) if name.endswith(".h5") else None)
    for frame, atoms in zip(read, made[::every]):
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=2e-8)  # eight decimals in extended XYZ
        np.testing.assert_allclose(frame.cell, atoms.cell.array, atol=1e-7)
        np.testing.assert_allclose(frame.velocities, atoms.get_velocities() * 0.09822694788464063, atol=1e-8)
        assert frame.step == atoms.info["step"]
        assert frame.time == (None if "dump" in name else atoms.info["time"])
        np.testing.assert_allclose(frame.to_ase().get_scaled_positions(), atoms.get_scaled_positions(), atol=1e-7)


def test_observables_and_charges_come_along(written, tmp_path):
    folder, made = written
    for k, frame in enumerate(frames(folder / "run.h5")):
        np.testing.assert_array_equal(frame.observables["dipole"], [3 * k, 3 * k + 1, 3 * k + 2])
    atoms = made[0].copy()
    atoms.set_initial_charges(np.linspace(-1, 1, len(atoms)))
    atoms.info["dipole"] = np.array([1.0, 2.0, 3.0])
    ase.io.write(tmp_path / "charged.extxyz", atoms)
    (frame,) = frames(tmp_path / "charged.extxyz")
    np.testing.assert_allclose(frame.arrays["charges"], np.linspace(-1, 1, len(atoms)), atol=1e-8)
    np.testing.assert_array_equal(frame.observables["dipole"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("name, kind", [("run.h5", "H5MD"), ("run.dump", "LAMMPSDUMP")])
def test_mdanalysis_reads_the_same_positions(written, name, kind):
    import MDAnalysis

    folder, made = written
    universe = MDAnalysis.Universe.empty(len(made[0]), trajectory=True)
    universe.load_new(str(folder / name), format=kind, **({"convert_units": False} if kind == "H5MD" else {}))
    ours = list(frames(folder / name))
    assert len(universe.trajectory) == len(ours)
    for step, frame in zip(universe.trajectory, ours):
        np.testing.assert_allclose(step.positions, frame.positions, atol=1e-5)  # MDAnalysis keeps float32
        np.testing.assert_allclose(step.dimensions[:3], np.diag(frame.cell), rtol=1e-6)


def test_lammps_types_need_their_elements(tmp_path):
    made = trajectory(2)
    write_dump(tmp_path / "types.dump", made, elements=False)
    with pytest.raises(FerrojaxError, match="types but no elements"):
        next(frames(tmp_path / "types.dump"))
    read = next(frames(tmp_path / "types.dump", elements=("Pb", "Ti", "O")))
    np.testing.assert_array_equal(read.numbers, made[0].numbers)


def test_lammps_types_of_h5md_need_their_elements(tmp_path):
    """As `dump h5md` writes it: types for species, ps and Å/ps without a word of units."""
    made = trajectory(2)
    write_h5md(tmp_path / "run.h5", made)
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file["h5md/creator"].attrs["name"] = b"lammps"
        group = file["particles/all"]
        group["species"][:] = [{82: 1, 22: 2, 8: 3}[z] for z in made[0].numbers]
        group["position/time"][:] /= 1e3
        group["velocity/value"][:] *= 1e3
        for name in ("position/time", "position/value", "velocity/value", "box/edges/value"):
            del group[name].attrs["unit"]
    with pytest.raises(FerrojaxError, match="species of a LAMMPS dump are its types; name the elements"):
        next(frames(tmp_path / "run.h5"))
    for frame, atoms in zip(frames(tmp_path / "run.h5", elements=("Pb", "Ti", "O")), made):
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_allclose(frame.velocities, atoms.get_velocities() * 0.09822694788464063, atol=1e-12)
        assert frame.time == pytest.approx(atoms.info["time"])
    with pytest.raises(FerrojaxError, match="elements named: Pb, Ti; name one for each type"):
        next(frames(tmp_path / "run.h5", elements=("Pb", "Ti")))
    with pytest.raises(FerrojaxError, match="name one for each type"):
        next(frames(tmp_path / "run.h5", elements=("Pb", "Ti", "Oxygen")))
    write_h5md(tmp_path / "ours.h5", made)
    with pytest.raises(FerrojaxError, match=r"species \[8, 22, 82\], but elements named: Pb, Ti, O; .* or none if species are Z"):
        next(frames(tmp_path / "ours.h5", elements=("Pb", "Ti", "O")))


def test_a_time_step_makes_times(written, tmp_path):
    """Of the steps that a file counts, else of the numbers of its frames; the file's own times give way."""
    folder, made = written
    for name in NAMES:
        read = list(frames(folder / name, 2, time_step=0.5))
        assert [frame.time for frame in read] == [5.0 * k for k in range(0, len(made), 2)]
    bare = [atoms.copy() for atoms in made]
    for atoms in bare:
        atoms.info.clear()
    ase.io.write(tmp_path / "bare.extxyz", bare)
    assert [frame.time for frame in frames(tmp_path / "bare.extxyz", 2, time_step=0.5)] == [0.5 * k for k in range(0, len(made), 2)]
    with pytest.raises(FerrojaxError, match="time step is 0 fs; it must be above zero"):
        next(frames(folder / "run.h5", time_step=0))


@pytest.mark.parametrize("name", NAMES[:4])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, name):
    made = trajectory(4, (4, 4, 4))

    def peak(count):
        path = tmp_path / f"{count}-{name}"
        {"run.h5": write_h5md, "run.dump": write_dump}.get(name, ase.io.write)(path, [made[k % 4] for k in range(count)])
        tracemalloc.start()
        assert sum(1 for _ in frames(path) if gc.collect() >= 0) == count  # ASE's cycles are garbage, not growth
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    gc.freeze()  # or each collection looks through all of JAX
    peak(2)  # libraries keep what they load at first
    few, many = peak(6), peak(24)
    gc.unfreeze()
    assert many < 1.3 * few


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_cut_off_file_is_told_by_its_frame(written, tmp_path, name):
    whole = (written[0] / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(0.7 * len(whole))])
    assert frame_count(tmp_path / name) is None
    with pytest.raises(FerrojaxError, match=f"{name}: frame [0-9] cannot be read"):
        list(frames(tmp_path / name))


def test_bad_trajectories_are_refused(tmp_path):
    with pytest.raises(FerrojaxError, match="no such file"):
        list(frames(tmp_path / "missing.h5"))
    with pytest.raises(FerrojaxError, match="every = 0"):
        list(frames(tmp_path / "missing.h5", every=0))
    assert frame_count(tmp_path / "missing.h5") is None
    one, other = crystal((1, 1, 1)), crystal((1, 1, 1))
    other.numbers[:2] = other.numbers[1::-1]
    ase.io.write(tmp_path / "order.extxyz", [one, other])
    with pytest.raises(FerrojaxError, match="frame 1 has other atoms than the first, or another order"):
        list(frames(tmp_path / "order.extxyz"))
    one.positions[3, 1] = np.nan
    ase.io.write(tmp_path / "nan.extxyz", [other, other, one])
    with pytest.raises(FerrojaxError, match="frame 2 .*(not finite|other atoms)"):
        list(frames(tmp_path / "nan.extxyz"))
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(FerrojaxError, match="one group of particles"):
        list(frames(tmp_path / "empty.h5"))
    write_h5md(tmp_path / "units.h5", trajectory(1))
    with h5py.File(tmp_path / "units.h5", "r+") as file:
        file["particles/all/position/value"].attrs["unit"] = "furlong"
    with pytest.raises(FerrojaxError, match="is in 'furlong'; known are Angstrom, nm"):
        list(frames(tmp_path / "units.h5"))
    with h5py.File(tmp_path / "units.h5", "r+") as file:
        file["particles/all/position/value"].attrs["unit"] = "nm"
        expected = 10 * file["particles/all/position/value"][0]
    np.testing.assert_allclose(next(frames(tmp_path / "units.h5")).positions, expected)
