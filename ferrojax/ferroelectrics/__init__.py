"""What ferroelectrics groups measure: local polarization and tilts, walls, switching, loops, textures, diffusion."""

from ferrojax.ferroelectrics.cells import PerovskiteCells, find_cells
from ferrojax.ferroelectrics.cores import Cores, CoreTracks, skyrmion_cores, track_cores, vortex_cores
from ferrojax.ferroelectrics.diffusion import Diffusion, diffusion, mean_square_displacement, paths, stream_diffusion
from ferrojax.ferroelectrics.fitting import Estimate
from ferrojax.ferroelectrics.frames import Snapshot, frames
from ferrojax.ferroelectrics.hysteresis import Hysteresis, coercive_field, hysteresis
from ferrojax.ferroelectrics.kinetics import creep, frequency_law, merz, nucleation_growth
from ferrojax.ferroelectrics.lattice import lattice_modes, lattice_polarization
from ferrojax.ferroelectrics.learned import learned_dipoles, model_born_charges
from ferrojax.ferroelectrics.local import born_tensors, cell_dipoles, dipoles, local_polarization, neutral, off_centring, tilts
from ferrojax.ferroelectrics.order import antiphase, fourier, glazer, in_phase, star
from ferrojax.ferroelectrics.phase import in_common, polar_phase, several_domains, variants
from ferrojax.ferroelectrics.texture import (
    helicity,
    helicity_angle,
    hopf_index,
    solid_angles,
    topological_charge,
    toroidal_moment,
    vortices,
    vorticity,
    winding,
)
from ferrojax.ferroelectrics.walls import PlaneProfile, Walls, fit_walls, plane_profile, profile, track, velocity, wall_energy

__all__ = [
    "CoreTracks",
    "Cores",
    "Diffusion",
    "Estimate",
    "Hysteresis",
    "PerovskiteCells",
    "PlaneProfile",
    "Snapshot",
    "Walls",
    "antiphase",
    "born_tensors",
    "cell_dipoles",
    "coercive_field",
    "creep",
    "diffusion",
    "dipoles",
    "find_cells",
    "fit_walls",
    "fourier",
    "frames",
    "frequency_law",
    "glazer",
    "helicity",
    "helicity_angle",
    "hopf_index",
    "hysteresis",
    "in_common",
    "in_phase",
    "lattice_modes",
    "lattice_polarization",
    "learned_dipoles",
    "local_polarization",
    "mean_square_displacement",
    "merz",
    "model_born_charges",
    "neutral",
    "nucleation_growth",
    "off_centring",
    "paths",
    "plane_profile",
    "polar_phase",
    "profile",
    "several_domains",
    "skyrmion_cores",
    "solid_angles",
    "star",
    "stream_diffusion",
    "tilts",
    "topological_charge",
    "toroidal_moment",
    "track",
    "track_cores",
    "variants",
    "velocity",
    "vortex_cores",
    "vortices",
    "vorticity",
    "wall_energy",
    "winding",
]
