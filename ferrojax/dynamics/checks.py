"""What a run is asked to do, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.dynamics.barostat import check_cell_kind
from ferrojax.dynamics.protocols import Constant, Protocol, sample, sample_times
from ferrojax.effective.lattice import LatticeState
from ferrojax.errors import FerrojaxError
from ferrojax.state import State

MAX_TIME_STEP = 5.0  # fs
POSITIVE = ("friction", "friction_cell", "tau", "tau_cell")


def check_run(
    state: State | LatticeState,
    integrator: Any,
    steps: int,
    every: int,
    field: Protocol,
    strain: Protocol | None = None,
    temperature: Any = None,
    begin: int = 0,
) -> None:
    """Raise FerrojaxError, one sentence that names the setting, unless the run from step ``begin`` makes sense.

    Checked: steps, every and time step; friction and periods; temperature, field, stress and strain at 512 times and
    at all ends of their pieces (finite, right shape, temperature not negative, stress symmetric); the cell's kind.
    """
    for name, number in (("steps", steps), ("every", every)):
        if int(number) != number or number < 1:
            raise FerrojaxError(f"{name}: must be a whole number above zero; got {number}.")
    check_time_step(float(integrator.dt) / getattr(integrator, "leaps", 1))
    for name in POSITIVE:
        value = getattr(integrator, name, None)
        if value is not None and not 0 < float(value) < np.inf:
            raise FerrojaxError(f"{name}: must be a finite number above zero; got {float(value):g}.")
    end = (begin + steps) * float(integrator.dt)
    for value in (temperature, getattr(integrator, "temperature", None)):
        if value is not None:
            check_temperature(value, end)
    check_values("field (V/Å)", field, end, (3,))
    if strain is not None:
        check_strain(strain, end)
    if hasattr(integrator, "stress"):
        check_stress(integrator.stress, end)
        check_cell_kind(integrator.cell, np.asarray(state.cell))


def check_time_step(dt: float) -> None:
    """Above zero and short enough for the vibrations of atoms."""
    if not 0 < dt < np.inf:
        raise FerrojaxError(f"dt: the time step must be a finite number of fs above zero; got {dt:g}.")
    if dt > MAX_TIME_STEP:
        raise FerrojaxError(
            f"dt: a time step of {dt:g} fs is too large, the limit is {MAX_TIME_STEP:g} fs: the fastest vibrations of an oxide take "
            "about 40 fs and need some 20 steps each; use 1 or 2 fs."
        )


def check_temperature(temperature: Any, end: float) -> None:
    """A finite number of kelvins, not negative at any time from 0 to ``end`` fs."""
    values, times = check_values("temperature (K)", temperature, end, ())
    if values.min() < 0:
        worst = int(values.argmin())
        raise FerrojaxError(f"temperature (K): is negative, {values[worst]:g} K{_at(times, worst)}; use 0 or more.")


def check_stress(stress: Any, end: float) -> None:
    """A number, six Voigt components or a symmetric 3 x 3 matrix, finite at all times."""
    values, times = check_values("stress (eV/Å³)", stress, end, (), (6,), (3, 3))
    if values.shape[1:] == (3, 3):
        off = np.abs(values - values.swapaxes(1, 2)).max((1, 2))
        if off.max() > 1e-6 * max(1e-12, np.abs(values).max()):
            worst = int(off.argmax())
            raise FerrojaxError(
                f"stress (eV/Å³): the tensor is not symmetric{_at(times, worst)}, {values[worst].tolist()}; it would turn the crystal: "
                "use its symmetric part."
            )


def check_strain(strain: Any, end: float) -> None:
    """A finite 3 x 3 matrix that does not turn the cell inside out."""
    values, times = check_values("strain", strain, end, (3, 3))
    volume = np.linalg.det(np.eye(3) + values)
    if volume.min() < 0.1:
        worst = int(volume.argmin())
        raise FerrojaxError(f"strain: leaves {volume[worst]:.3g} of the volume{_at(times, worst)}; strains are fractions, not percent.")


def check_values(name: str, value: Any, end: float, *shapes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a number or protocol from 0 to ``end`` fs, [time, ...], and the times (None if constant); finite and of a right shape."""
    value = value.value if isinstance(value, Constant) else value
    times = None
    if isinstance(value, Protocol):
        try:
            shape = jax.eval_shape(value, jnp.zeros(())).shape
        except (TypeError, ValueError) as error:
            raise FerrojaxError(f"{name}: cannot be evaluated ({_first_line(error)}); its pieces must have one shape.") from None
        _check_shape(name, shape, shapes)
        times, values = sample_times(value, end), sample(value, end)
    else:
        values = np.asarray(value, np.float64)[None]
        _check_shape(name, values.shape[1:], shapes)
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if bad.any():
        raise FerrojaxError(f"{name}: is not finite{_at(times, int(bad.argmax()))}; give finite numbers.")
    return values, times


def _check_shape(name: str, shape: tuple[int, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
    if shape not in shapes:
        words = {(): "a number", (3,): "three numbers", (6,): "six numbers (xx yy zz yz xz xy)", (3, 3): "a 3 x 3 matrix"}
        raise FerrojaxError(f"{name}: must be {' or '.join(words[s] for s in shapes)}; got an array of shape {shape}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:120]


def _at(times: np.ndarray | None, index: int) -> str:
    return "" if times is None else f" at {times[index]:g} fs"
