"""Molecular dynamics at 300 K in a field that changes its sign twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.records import Records
from ferrojax.dynamics.run import DynamicsError, Run, run
from ferrojax.enthalpy import Enthalpy
from ferrojax.potential import Model
from ferrojax.response.first import dipole_moment
from ferrojax.state import State, to_ase
from ferrojax.units import E_PER_A2

FIELD = 0.1  # V/Å; twice what leaves the polarization up for picoseconds in a fixed cell
TIME_STEP, TEMPERATURE, FRICTION = 2.0, 300.0, 0.01  # fs, K, 1/fs
EVERY = 5  # steps between records
PIECES = 8  # lines printed
# Parts of the period, late on each plateau of the field, over which the polarization is averaged.
PLATEAUS = {"up": (0.12, 0.24), "down": (0.60, 0.74), "up again": (0.88, 1.0)}


@dataclass(frozen=True)
class Switching:
    """time: fs, from 0; field: V/Å and polarization: C/m² along z; plateaus: mean P_z on each; temperature: mean, K."""

    time: np.ndarray
    field: np.ndarray
    polarization: np.ndarray
    plateaus: dict[str, float]
    temperature: float | None
    atoms: int

    @property
    def reversals(self) -> int:
        """How often the plateau means change their sign: 2 if the polarization follows the field."""
        signs = np.sign(list(self.plateaus.values()))
        return int(np.sum(signs[1:] * signs[:-1] < 0))


def switch(
    model: Model,
    enthalpy: Enthalpy,
    params: Any,
    tetragonal: State,
    spontaneous: float,
    seed: int,
    cells: int,
    picoseconds: float,
    line: Callable[[str], None],
    warn: Callable[[str], None],
    amplitude: float = FIELD,
) -> Switching:
    """NVT Langevin dynamics of cells³ unit cells in E_z(t), float32, cell fixed at the relaxed one.

    P_z starts at ``spontaneous`` (C/m²) in the relaxed structure and follows the dipole of the unwrapped atoms. Every
    piece is reported to ``line``; a run that blows up to ``warn``, and what it reached is returned.
    """
    state = model.prepare(to_ase(tetragonal).repeat((cells,) * 3), np.float32, skin=1.5)
    rest = np.asarray(dipole_moment(enthalpy, params, state, jnp.zeros(3, jnp.float32)))[2]
    steps = max(PIECES, round(1e3 * picoseconds / TIME_STEP))
    thermostat, field = Langevin(TIME_STEP, TEMPERATURE, FRICTION), square_wave(amplitude, steps * TIME_STEP)
    runs: list[Run] = []
    volume = float(state.volume)

    def polarization(records: Any) -> np.ndarray:
        return spontaneous + (records.dipole[:, 2] - rest) / volume * E_PER_A2

    for piece in range(PIECES):
        begun = {"progress": runs[-1].progress} if runs else {"key": jax.random.key(seed)}
        count = steps * (piece + 1) // PIECES - steps * piece // PIECES
        current = runs[-1].state if runs else state
        try:
            runs.append(run(enthalpy, params, current, thermostat, count, field=field, every=EVERY, keep_positions=False, **begun))
        except DynamicsError as error:
            warn(str(error))
            runs.append(error.run)
            break
        last = runs[-1].records
        p, kelvin = polarization(last), last.temperature
        now, e = last.time[-1] / 1e3, last.field[-1, 2]
        line(f"{now:5.2f} ps  E_z {e:+.3f} V/Å  mean P_z {p.mean():+.2f} C/m²  mean T {kelvin.mean():4.0f} K")
    joined = Records.join([r.records for r in runs])
    time = np.append(0.0, joined.time)
    p = np.append(spontaneous, polarization(joined))
    e = np.append(float(field(jnp.zeros(()))[2]), joined.field[:, 2])
    mean = float(joined.temperature.mean()) if len(joined) else None
    return Switching(time, e, p, _plateaus(time / (steps * TIME_STEP), p), mean, len(state.numbers))


def square_wave(amplitude: float, period: float) -> Callable[[Array], Float[Array, "3"]]:
    """E(t) = A tanh(8 cos 2πt/T) along z, V/Å: up, down for half a period, up again, with smooth flanks."""

    def field(time: Array) -> Float[Array, "3"]:
        wave = amplitude * jnp.tanh(8.0 * jnp.cos(2 * jnp.pi * time / period))
        return jnp.stack([jnp.zeros_like(wave), jnp.zeros_like(wave), wave])

    return field


def _plateaus(phase: np.ndarray, polarization: np.ndarray) -> dict[str, float]:
    inside = {name: (phase >= a) & (phase <= b) for name, (a, b) in PLATEAUS.items()}
    return {name: float(polarization[chosen].mean()) for name, chosen in inside.items() if chosen.any()}
