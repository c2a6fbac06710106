"""Numbers of each frame, from its maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ferrojax.analysis.phases import recognise
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.fitting import Estimate
from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.ferroelectrics.maps import Maps
from ferrojax.ferroelectrics.order import glazer
from ferrojax.ferroelectrics.texture import helicity, topological_charge, toroidal_moment, vortices
from ferrojax.ferroelectrics.walls import NoWalls, Walls, fit_walls, profile, track, velocity

AXES = "xyz"
METRE = 1e-10  # in one Å


@dataclass
class Series:
    """Rows of series.csv and walls.csv, grown frame by frame.

    threshold: C/m², of a component of the mean P that counts. layers: axis across which charges and vortices are counted, None for none.
    walls: (axis, component) of the profile that is fitted, None for none.
    """

    threshold: float = 0.1
    layers: int | None = 2
    walls: tuple[int, int] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    fits: list[Walls] = field(default_factory=list)
    wall_rows: list[dict[str, Any]] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    unfitted: list[str] = field(default_factory=list)  # frames with walls that could not be fitted, and why

    def append(self, frame: Snapshot, maps: Maps) -> None:
        """Add a frame."""
        clock = {"step": frame.step, "time_fs": frame.time}
        row = clock | self._polar(maps) | (self._tilted(maps) if maps.tilts is not None else {})
        if self.layers is not None and maps.shape is not None:
            row |= _texture(maps, self.layers)
        if self.walls is not None:
            row |= self._wall(clock, maps, *self.walls)
        self.rows.append(row)

    def wall_velocities(self) -> list[Estimate]:
        """Of the walls that were fitted, in their order in the first frame, m/s. Raises FerrojaxError as ``track`` and ``velocity``."""
        if None in self.times:
            raise FerrojaxError("the trajectory has no times, so its walls have no velocities.")
        places = track(self.fits, np.array(self.lengths))
        return [velocity(np.array(self.times, float), x) for x in places.T]

    def _polar(self, maps: Maps) -> dict[str, Any]:
        mean = maps.polarization.mean(0)
        row = {f"P_{name}_C_per_m2": float(mean[k]) for k, name in enumerate(AXES)}
        row["P_local_C_per_m2"] = float(np.linalg.norm(maps.polarization, axis=1).mean())
        return row | {"phase_of_mean_P": recognise(maps.along.mean(0), self.threshold)}

    def _tilted(self, maps: Maps) -> dict[str, Any]:
        assert maps.plus is not None and maps.minus is not None
        row = {f"tilt_{kind}_{name}_deg": float(abs(x)) for kind, v in (("M", maps.plus), ("R", maps.minus)) for name, x in zip(AXES, v)}
        return row | {"glazer": glazer(maps.plus, maps.minus)}

    def _wall(self, clock: dict[str, Any], maps: Maps, axis: int, component: int) -> dict[str, Any]:
        grid = maps.grid
        length = float(np.linalg.norm(maps.axes[axis])) * grid.shape[axis]
        try:
            found = fit_walls(profile(grid, axis, component), length)
        except NoWalls:
            return {"walls": 0}  # a frame in one domain is a result, not an error
        except FerrojaxError as error:
            self.unfitted.append(f"step {clock['step']}: {error}")
            return {}
        self.fits.append(found)
        self.lengths.append(length)
        self.times.append(clock["time_fs"])
        for k, (place, width) in enumerate(zip(found.positions, found.widths)):
            numbers = {"position_A": place.value, "position_error_A": place.error, "width_A": width.value, "width_error_A": width.error}
            self.wall_rows.append(clock | {"wall": k, "sign": found.signs[k]} | numbers | {"P0_C_per_m2": found.amplitude.value})
        return {"walls": len(found.signs)}


def _texture(maps: Maps, axis: int) -> dict[str, Any]:
    charges, cores = topological_charge(maps.grid, axis), vortices(maps.grid, axis)
    spacing, names = np.linalg.norm(maps.axes, axis=1), [f"toroidal_{name}_C_per_m" for name in AXES]
    moments = toroidal_moment(maps.grid, spacing) * METRE
    turns = {"helicity_C2_per_m5": helicity(maps.grid, spacing) / METRE} | dict(zip(names, moments.tolist()))
    numbers = {"Q_total": int(charges.sum()), "Q_smallest": int(charges.min()), "Q_largest": int(charges.max())}
    return numbers | {"vortices": int((cores > 0).sum()), "antivortices": int((cores < 0).sum())} | turns
