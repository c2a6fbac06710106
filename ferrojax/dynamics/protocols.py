"""Temperatures, fields, stresses and strains as functions of time, evaluated inside a compiled step.

A protocol is a pytree: its numbers may change, and be differentiated, without recompilation.
Values may be scalars or arrays; times are in fs.

    field = Triangle(amplitude=jnp.array([0, 0, 0.02]), period=50_000.0)       # a P-E loop
    temperature = Sequence((Ramp(300.0, 900.0, duration=20e3), Constant(900.0, duration=50e3), Ramp(900.0, 300.0, duration=5e3)))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Sequence as ASequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError

Value = Any  # a number or an array of them


class Protocol(struct.PyTreeNode, ABC):
    """A quantity as a function of time; call it with the time in fs. ``duration`` is infinite for one without end."""

    duration: Any = struct.field(default=np.inf, kw_only=True)

    @abstractmethod
    def __call__(self, time: Array) -> Array:
        """The value at a time, fs, in the precision of the time."""

    def __add__(self, other: Protocol) -> Protocol:
        return Sum((self, other))


class Constant(Protocol):
    """The same value at all times."""

    value: Value

    def __call__(self, time: Array) -> Array:
        return jnp.asarray(self.value, time.dtype)


class Ramp(Protocol):
    """From ``start`` to ``end``, linear in time over ``duration``; then it stays."""

    start: Value
    end: Value

    def __call__(self, time: Array) -> Array:
        start, end = jnp.asarray(self.start, time.dtype), jnp.asarray(self.end, time.dtype)
        return start + (end - start) * jnp.clip(time / self.duration, 0.0, 1.0)


class Sine(Protocol):
    """amplitude · sin(2π time / period + phase)."""

    amplitude: Value
    period: Any
    phase: Any = 0.0

    def __call__(self, time: Array) -> Array:
        return jnp.asarray(self.amplitude, time.dtype) * jnp.sin(2 * np.pi * time / self.period + self.phase)


class Triangle(Protocol):
    """0 → amplitude → -amplitude → 0 in each period, linear in between."""

    amplitude: Value
    period: Any

    def __call__(self, time: Array) -> Array:
        phase = time / self.period + 0.25
        wave = 1.0 - 4.0 * jnp.abs(phase - jnp.floor(phase) - 0.5)
        return jnp.asarray(self.amplitude, time.dtype) * wave


class Pulse(Protocol):
    """0, then ``amplitude`` from ``begin`` for ``width``, with linear flanks of ``rise`` inside the width; then 0 again."""

    amplitude: Value
    begin: Any
    width: Any
    rise: Any = 0.0

    def __call__(self, time: Array) -> Array:
        inside = jnp.minimum(time - self.begin, self.begin + self.width - time)
        flank = jnp.where(jnp.asarray(self.rise) > 0, jnp.clip(inside / jnp.maximum(self.rise, 1e-12), 0.0, 1.0), inside >= 0)
        return jnp.asarray(self.amplitude, time.dtype) * flank


class Sequence(Protocol):
    """One protocol after another, each with its own clock; at the end the last value stays."""

    pieces: tuple[Protocol, ...]

    def __call__(self, time: Array) -> Array:
        begin, result = jnp.zeros_like(time), None
        for piece in self.pieces:
            here = piece(jnp.clip(time - begin, 0.0, piece.duration))
            result = here if result is None else jnp.where(time >= begin, here, result)
            begin = begin + piece.duration
        assert result is not None
        return result


class Sum(Protocol):
    """The sum of protocols, for a bias or a strain on top of a wave."""

    parts: tuple[Protocol, ...]

    def __call__(self, time: Array) -> Array:
        return sum((part(time) for part in self.parts), start=jnp.zeros((), time.dtype))


class Function(Protocol):
    """Any function of the time made of JAX operations; its numbers are compiled in."""

    function: Callable[[Array], Array] = struct.field(pytree_node=False)

    def __call__(self, time: Array) -> Array:
        return jnp.asarray(self.function(time), time.dtype)


def as_protocol(value: Value) -> Protocol:
    """A protocol as it is; a function of time or a constant made into one."""
    if isinstance(value, Protocol):
        return value
    if callable(value):
        return Function(value)
    return Constant(jnp.asarray(value))


def at(value: Value, time: Array) -> Array:
    """A number, or a protocol at a time, in the precision of the time."""
    return value(time) if isinstance(value, Protocol) else jnp.asarray(value, time.dtype)


def sample(value: Value, end: float, points: int = 512) -> np.ndarray:
    """Values at ``sample_times``, in float32; to check or plot a protocol."""
    protocol = as_protocol(value)
    return np.asarray(jax.vmap(protocol)(jnp.asarray(sample_times(protocol, end, points), jnp.float32)))


def sample_times(protocol: Protocol, end: float, points: int = 512) -> np.ndarray:
    """Times from 0 to ``end`` fs, with the ends of all pieces among them."""
    inner = [t for t in _breaks(protocol) if 0 < t < end]
    return np.unique(np.concatenate([np.linspace(0.0, end, points), inner]))


def join(pieces: ASequence[tuple[float, float, Protocol]], name: str) -> Sequence:
    """Sequence of (from, to, protocol) in fs. Raises FerrojaxError for a gap, an overlap or a piece without length."""
    expected = 0.0
    for number, (begin, end, _) in enumerate(pieces, 1):
        if abs(begin - expected) > 1e-6:
            what = "a gap" if begin > expected else "an overlap"
            raise FerrojaxError(f"{name}: {what} before piece {number}: it begins at {begin:g} fs, the one before ends at {expected:g} fs.")
        if not end > begin:
            raise FerrojaxError(f"{name}: piece {number} must end after it begins ({begin:g} fs); it ends at {end:g} fs.")
        expected = end
    return Sequence(tuple(piece.replace(duration=end - begin) for begin, end, piece in pieces))


def _breaks(protocol: Protocol) -> list[float]:
    """Ends of the pieces of a sequence, just before and after."""
    if not isinstance(protocol, Sequence):
        return []
    ends = np.cumsum([float(piece.duration) for piece in protocol.pieces])
    return [t for end in ends if np.isfinite(end) for t in (np.nextafter(end, 0), end)]


Temperature = float | Float[Array, ""] | Protocol
