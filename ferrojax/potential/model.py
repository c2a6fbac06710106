"""The potential: an equivariant network with a charge head, and its Python interface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from flax import struct
from jaxtyping import Array, Float, Int

from ferrojax.distributed.layout import Whole
from ferrojax.errors import FerrojaxError
from ferrojax.potential.basis import angular_basis, envelope, radial_basis, safe_length
from ferrojax.potential.config import ModelConfig
from ferrojax.potential.interaction import Bonds, Density, Message, Product, invariants, materialize
from ferrojax.potential.readout import ChargeFlow, Polarizability, SpeciesMLP
from ferrojax.potential.repulsion import repulsion_energy
from ferrojax.state import State, from_ase
from ferrojax.topology import edge_components, with_topology

if TYPE_CHECKING:
    from ase import Atoms

# Relative size of the terms dropped from the reciprocal sum, in the two precisions.
K_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
MAX_ATOMIC_NUMBER = 118


@struct.dataclass
class Terms:
    """What a model says of a structure, before any field.

    short_range: network and close-contact repulsion, eV.
    charges: q_i = Z_i - Σ_j t_ij, e; they sum to the formal charge of the cell.
    flow: g_ij with t_ij = g_ij - g_ji, e.
    polarizability: electronic polarizability of the cell, e Å²/V.
    """

    short_range: Float[Array, ""]
    charges: Float[Array, " atoms"]
    flow: Float[Array, "atoms slots"]
    polarizability: Float[Array, "3 3"]


class Network(nn.Module):
    """Flax module of the potential; see ``Model`` for its use.

    Density (l <= 2) → product, then with ``layers`` = 2 a message-passing layer and a
    second product. Each layer adds an energy readout; charge flow and polarizability are
    read from the last.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, vectors, mask, neighbors, species, real, extend=Whole().extend):
        config, elements = self.config, len(self.config.elements)
        bonds = self._bonds(vectors, mask, neighbors, extend(species))
        features = Density(config.channels, elements)(bonds, species)
        features = materialize(features)
        first, scalars, energy = self._update(features, species, "first")
        last = first
        if config.layers == 2:
            received = Message(config.channels, elements)(first, bonds, species, extend)
            received = materialize(received)
            last, scalars, second_energy = self._update(received + first, species, "second")
            energy = energy + second_energy
        flow = ChargeFlow(elements)(scalars, last, bonds, species, extend)
        polarizability = Polarizability(elements)(scalars, last, species, real)
        return jnp.sum(energy * real), flow, polarizability

    def _bonds(self, vectors, mask, neighbors, species):
        """Radial functions, zero on empty slots, spherical harmonics, and the embedding of the neighbours' species."""
        config, elements = self.config, len(self.config.elements)
        size = min(config.embedding, elements)
        embedding = self.param("embedding", nn.initializers.orthogonal(np.sqrt(size)), (elements, size))
        distance = safe_length(vectors, mask)
        smooth = jnp.where(mask, envelope(distance, config.cutoff), 0.0)[..., None, :]
        radial = radial_basis(distance, config.cutoff, config.radial) * smooth
        radial, angular = materialize((radial, angular_basis(tuple(x / distance for x in vectors))))
        return Bonds(radial, angular, neighbors, embedding[species])

    def _update(self, features, species, name):
        config, elements = self.config, len(self.config.elements)
        product = materialize(Product(config.channels, elements, name=f"{name}_product")(features, species))
        scalars = materialize(invariants(features, product))
        energy = SpeciesMLP(config.hidden, 1, elements, name=f"{name}_energy")(scalars, species)[:, 0]
        return product, scalars, energy


@dataclass(frozen=True)
class Model:
    """A potential of a given configuration; parameters are passed to every call.

    params = model.init(jax.random.key(0))
    state = model.prepare(atoms)
    terms = model.terms(params, state)
    """

    config: ModelConfig

    def init(self, key: Array) -> Any:
        """Random parameters, float32 (float64 inputs are computed in float64: see terms)."""
        one = jnp.zeros((1, 1), jnp.int32)
        vectors, mask = (jnp.ones((1, 1), jnp.float32),) * 3, jnp.ones((1, 1), bool)
        params = jax.jit(Network(self.config).init)(key, vectors, mask, one, one[0], jnp.ones(1, jnp.float32))
        return jax.tree.map(lambda x: x.astype(jnp.float32), params)

    def terms(self, params: Any, state: State) -> Terms:
        """Short-range energy, charges, charge flow and polarizability, in the precision of the positions."""
        topology, dtype = state.topology, state.positions.dtype
        extend, total = topology.layout.extend, topology.layout.total
        params = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)  # also takes numpy arrays, closed over
        species, real = self.species(state), (state.numbers > 0).astype(dtype)
        vectors = tuple(jnp.where(topology.mask, x, 1.0) for x in edge_components(state))
        distance = safe_length(vectors, topology.mask)
        # Pairs in the skin carry nothing; excluding them keeps the repulsion finite-range too.
        mask = topology.mask & (distance < self.config.cutoff)
        outputs: Any = Network(self.config).apply(params, vectors, mask, topology.neighbors, species, real, extend)
        energy, flow, polarizability = outputs
        energy = energy + repulsion_energy(distance, mask, extend(state.numbers), topology.neighbors)
        energy, polarizability = total((energy, polarizability))
        charges = self.formal_charges(state) - jnp.sum(flow, 1)
        received = jnp.zeros(len(extend(species)), dtype).at[topology.neighbors].add(flow)
        charges = charges + topology.layout.collect(received, charges)
        return Terms(energy, charges, flow, polarizability)

    def species(self, state: State) -> Int[Array, " atoms"]:
        """Index of each atom's element in ``config.elements``; 0 for padding."""
        table = np.zeros(MAX_ATOMIC_NUMBER + 1, np.int32)
        for index, symbol in enumerate(self.config.elements):
            table[atomic_numbers[symbol]] = index
        return jnp.asarray(table)[state.numbers]

    def formal_charges(self, state: State) -> Float[Array, " atoms"]:
        """Integer charge Z_i of each atom, e; 0 for padding."""
        table = np.zeros(MAX_ATOMIC_NUMBER + 1)
        for symbol, charge in zip(self.config.elements, self.config.formal_charges):
            table[atomic_numbers[symbol]] = charge
        return jnp.asarray(table, state.positions.dtype)[state.numbers]

    def prepare(
        self,
        structure: Atoms | State,
        dtype: Any = np.float32,
        skin: float = 0.0,
        k_tolerance: float | None = None,
        name: str = "structure",
        **fixed,
    ) -> State:
        """State with the topology this model needs.

        Args:
            structure: ASE atoms or a State.
            skin: Å that atoms may move before the topology must be rebuilt, for dynamics.
            k_tolerance: relative size of the reciprocal terms left out; by default
                1e-5 in float32 and 1e-12 in float64.
            fixed: ``slots`` and ``kgrid``, for shapes shared by several structures.

        Raises FerrojaxError for an element the model does not know and a bad cell.
        """
        state = structure if isinstance(structure, State) else from_ase(structure, dtype, name)
        known = {0, *(atomic_numbers[e] for e in self.config.elements)}
        unknown = sorted(set(np.asarray(state.numbers).tolist()) - known)
        if unknown:
            raise FerrojaxError(
                f"{name}: the model does not know {[chemical_symbols[z] for z in unknown]}; it was made for {list(self.config.elements)}."
            )
        tolerance = k_tolerance or K_TOLERANCE[np.dtype(state.positions.dtype).name]
        k_cutoff = math.sqrt(math.log(1.0 / tolerance)) / self.config.smearing
        return with_topology(state, self.config.cutoff, skin, k_cutoff, **fixed)
