"""Numbers of each frame, from its maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.cores import Cores, CoreTracks, skyrmion_cores, track_cores, vortex_cores
from ferrojax.ferroelectrics.fitting import Estimate
from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.ferroelectrics.maps import Maps
from ferrojax.ferroelectrics.order import glazer
from ferrojax.ferroelectrics.phase import polar_phase, several_domains
from ferrojax.ferroelectrics.texture import helicity, topological_charge, toroidal_moment, vortices
from ferrojax.ferroelectrics.walls import NoWalls, PlaneProfile, Walls, fit_walls, plane_profile, profile, track, velocity

AXES = "xyz"
Direction = int | tuple[int, int, int]  # an axis by its number, or any direction
UNITS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
METRE = 1e-10  # in one Å
CORES = {"vortices": vortex_cores, "skyrmions": skyrmion_cores}


@dataclass
class Series:
    """Rows of series.csv, walls.csv and cores.csv, grown frame by frame.

    threshold: C/m², of a component of the mean P that counts, and of P across the layers around a vortex. layers: axis across which charges
    and vortices are counted, None for none. walls: (axis, component) of the profile that is fitted, None for none: numbers of pseudo-cubic
    axes; where there is no grid of them, or for directions, the planes across h, k, l of the cell's reciprocal vectors and the Cartesian
    component. tilt_threshold: degrees, of a tilt that Glazer's symbol names. cores: those of the layers that are followed, None for none.
    """

    threshold: float = 0.1
    layers: int | None = 2
    walls: tuple[Direction, Direction] | None = None
    tilt_threshold: float = 1.0
    cores: Literal["vortices", "skyrmions"] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    fits: list[Walls] = field(default_factory=list)
    wall_rows: list[dict[str, Any]] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    gridless: bool = False  # whether frames had no layers
    unfitted: list[str] = field(default_factory=list)  # frames with walls that could not be fitted, and why
    found: list[Cores] = field(default_factory=list)
    bases: list[tuple[dict[str, Any], np.ndarray, np.ndarray]] = field(default_factory=list)  # of each: clock, origin and axes of the grid
    shape: tuple[int, int, int] | None = None

    def append(self, frame: Snapshot, maps: Maps) -> None:
        """Add a frame."""
        clock = {"step": frame.step, "time_fs": frame.time}
        row = clock | self._polar(maps) | (self._tilted(maps) if maps.tilts is not None else {})
        self.gridless |= maps.shape is None
        if self.layers is not None and maps.shape is not None:
            row |= _texture(maps, self.layers, self.threshold)
            self._find_cores(clock, maps, self.layers)
        if self.walls is not None:
            row |= self._wall(clock, maps, *self.walls)
        self.rows.append(row)

    def wall_velocities(self) -> list[Estimate]:
        """Of the walls that were fitted, in their order in the first frame, m/s. Raises FerrojaxError as ``track`` and ``velocity``."""
        if None in self.times:
            raise FerrojaxError("the trajectory has no times, so its walls have no velocities; give the time step with --time-step.")
        places = track(self.fits, np.array(self.lengths))
        return [velocity(np.array(self.times, float), x) for x in places.T]

    def core_tracks(self) -> CoreTracks | None:
        """The cores of all frames, None where they were not asked for or there are no layers."""
        return track_cores(self.found, self.shape, self.layers) if self.layers is not None and self.shape is not None else None

    def core_rows(self, tracks: CoreTracks) -> Iterator[dict[str, Any]]:
        """Rows of cores.csv."""
        for frame, core, place, charge in zip(*tracks):
            clock, origin, axes = self.bases[frame]
            numbers = {"layer": int(place[self.layers]), "charge": int(charge), "core": int(core)}
            yield clock | numbers | dict(zip(("x_A", "y_A", "z_A"), (origin + place @ axes).tolist()))

    def _find_cores(self, clock: dict[str, Any], maps: Maps, layers: int) -> None:
        if self.cores is not None:
            self.found.append(CORES[self.cores](maps.grid, layers, self.threshold))
            self.bases.append((clock, maps.places[0].copy(), maps.axes))  # a view would keep the whole map
            self.shape = maps.shape

    def _polar(self, maps: Maps) -> dict[str, Any]:
        mean = maps.polarization.mean(0)
        row = {f"P_{name}_C_per_m2": float(mean[k]) for k, name in enumerate(AXES)}
        row["P_local_C_per_m2"] = float(np.linalg.norm(maps.polarization, axis=1).mean())
        domains = several_domains(maps.polarization, maps.common, self.threshold)
        return row | {"phase_of_mean_P": "domains" if domains else polar_phase(maps.along.mean(0), self.threshold)}

    def _tilted(self, maps: Maps) -> dict[str, Any]:
        assert maps.plus is not None and maps.minus is not None
        row = {f"tilt_{kind}_{name}_deg": float(abs(x)) for kind, v in (("M", maps.plus), ("R", maps.minus)) for name, x in zip(AXES, v)}
        return row | {"glazer": glazer(maps.plus, maps.minus, self.tilt_threshold)}

    def _wall(self, clock: dict[str, Any], maps: Maps, axis: Direction, component: Direction) -> dict[str, Any]:
        values, length, origin = wall_profile(maps, axis, component)
        try:
            found = fit_walls(values, length)
        except NoWalls:
            return {"walls": 0}  # a frame in one domain is a result, not an error
        except FerrojaxError as error:
            self.unfitted.append(f"step {clock['step']}: {error}")
            return {}
        self.fits.append(found)
        self.lengths.append(length)
        self.times.append(clock["time_fs"])
        for k, (place, width) in enumerate(zip(found.positions, found.widths)):
            numbers = {"position_A": place.value + origin, "position_error_A": place.error}
            numbers |= {"width_A": width.value, "width_error_A": width.error, "P0_C_per_m2": found.amplitude.value}
            self.wall_rows.append(clock | {"wall": k, "sign": found.signs[k]} | numbers)
        return {"walls": len(found.signs)}


def wall_profile(maps: Maps, axis: Direction, component: Direction) -> PlaneProfile:
    """Polarization plane by plane, C/m²: over the layers of the grid, or as ``plane_profile`` without one. See ``Series``."""
    if isinstance(axis, int) and isinstance(component, int) and maps.shape is not None:
        layer, first = float(np.linalg.norm(maps.axes[axis])), np.linalg.solve(maps.axes.T, maps.places[0])[axis]
        return PlaneProfile(profile(maps.grid, axis, component), layer * maps.shape[axis], float(first - 0.5) * layer)
    normal = UNITS[axis] if isinstance(axis, int) else axis
    along = np.array(UNITS[component] if isinstance(component, int) else component, float)
    if not along.any():
        raise FerrojaxError("walls: the component of the polarization has no direction; give one such as 0,1,1.")
    return plane_profile(maps.places, maps.polarization @ along / np.linalg.norm(along), maps.cell, normal)


def _texture(maps: Maps, axis: int, threshold: float) -> dict[str, Any]:
    charges, cores = topological_charge(maps.grid, axis), vortices(maps.grid, axis, threshold)
    spacing, names = np.linalg.norm(maps.axes, axis=1), [f"toroidal_{name}_C_per_m" for name in AXES]
    moments = toroidal_moment(maps.grid, spacing) * METRE
    turns = {"helicity_C2_per_m5": helicity(maps.grid, spacing) / METRE} | dict(zip(names, moments.tolist()))
    numbers = {"Q_total": int(charges.sum()), "Q_smallest": int(charges.min()), "Q_largest": int(charges.max())}
    return numbers | {"vortices": int((cores > 0).sum()), "antivortices": int((cores < 0).sum())} | turns
