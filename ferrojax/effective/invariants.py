"""Couplings that a space group allows, found by averaging monomials over its operations.

    E = Σ_λ w_λ t_λ,    t_λ = Σ_R Σ_i c_i Π_j p_j,a_j(R + d_ij)

p are the fields of the lattice: the local mode u, the tilt ω (a pseudovector), the occupation σ (a scalar) and the strain η.
Ma et al., npj Comput. Mater. (2025), doi:10.1038/s41524-025-01563-z, eqs. 20-23, for the form (K and J there). Couplings to strain are
those whose monomials hold one η.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import VOIGT
from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ase import Atoms

SYMPREC = 1e-4  # Å
SMALL = 1e-9


class Factor(NamedTuple):
    """One component of a field in one cell, counted from the cell R of the sum; the strain has no cell."""

    field: str
    component: int
    cell: tuple[int, int, int]


Monomial = tuple[Factor, ...]
Polynomial = dict[Monomial, float]


@dataclass(frozen=True)
class Field:
    """How a field transforms: "polar" or "axial" vector, "scalar", or "strain" (Voigt, η4 = 2 ε_yz); its site, in fractions of the cell."""

    kind: str
    site: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def components(self) -> int:
        """Of the field in one cell."""
        return {"polar": 3, "axial": 3, "scalar": 1, "strain": 6}[self.kind]


@dataclass(frozen=True)
class Coupling:
    """One invariant t_λ: pairs of coefficient and factors, summed over all cells."""

    name: str
    terms: tuple[tuple[float, Monomial], ...]

    @property
    def reach(self) -> int:
        """Cells that its couplings reach, along any axis."""
        return max((abs(x) for _, factors in self.terms for f in factors for x in f.cell), default=0)


@dataclass(frozen=True)
class SpaceGroup:
    """Operations x → W x + t on fractions of the cell; ``cartesian`` are the same rotations on vectors."""

    rotations: np.ndarray
    translations: np.ndarray
    cartesian: np.ndarray


def perovskite_fields(mode_site: str = "B", occupation_site: str = "A") -> dict[str, Field]:
    """The fields of a perovskite with its B site at the origin: "u", "omega" (on B), "sigma" and "eta"."""
    sites = {"A": (0.5, 0.5, 0.5), "B": (0.0, 0.0, 0.0)}
    if mode_site not in sites or occupation_site not in sites:
        raise FerrojaxError(f"sites must be 'A' or 'B'; got {mode_site!r} and {occupation_site!r}.")
    return {
        "u": Field("polar", sites[mode_site]),
        "omega": Field("axial", sites["B"]),
        "sigma": Field("scalar", sites[occupation_site]),
        "eta": Field("strain"),
    }


def space_group(atoms: Atoms) -> SpaceGroup:
    """Operations of a reference structure, by spglib. Raises FerrojaxError if it finds none."""
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_symmetry(cell, symprec=SYMPREC)
    if found is None:
        raise FerrojaxError("space_group: spglib finds no symmetry; check the cell and that no atoms coincide.")
    columns = atoms.cell.array.T
    cartesian = np.array([columns @ w @ np.linalg.inv(columns) for w in found["rotations"]])
    return SpaceGroup(found["rotations"], found["translations"], cartesian)


def couplings(
    factors: Sequence[tuple[str, int, tuple[int, int, int]]], fields: dict[str, Field], group: SpaceGroup, name: str = ""
) -> list[Coupling]:
    """All independent invariants whose monomials are like ``factors``: (field, power, cell) of each.

    ``[("u", 1, (0, 0, 0)), ("u", 1, (1, 0, 0))]`` gives the couplings of modes in adjacent cells, here two.
    Each is scaled so that its largest coefficient is 1.

    Raises FerrojaxError for an unknown field, and for a site that the space group does not map on itself.
    """
    for field, power, _ in factors:
        if field not in fields or power < 1:
            known = ", ".join(fields)
            raise FerrojaxError(f"couplings: each factor is a field of {known} with a power of 1 or more; got {field!r} with {power}.")
    choices = [
        list(itertools.combinations_with_replacement([Factor(f, c, cell) for c in range(fields[f].components)], power))
        for f, power, cell in factors
    ]
    found: list[Polynomial] = []
    for parts in itertools.product(*choices):
        average = _average(tuple(itertools.chain(*parts)), fields, group)
        if average and _independent(average, found):
            found.append(average)
    label = name or " ".join(f"{f}^{power}{list(cell)}" for f, power, cell in factors)
    return [Coupling(f"{label} {k + 1}", _scaled(polynomial)) for k, polynomial in enumerate(found)]


def coupling_energy(
    listed: Sequence[Coupling], weights: Float[Array, " n"], fields: dict[str, Float[Array, "_ x y z"]]
) -> tuple[Float[Array, ""], Float[Array, "6 x y z"]]:
    """Σ w t of the couplings without strain, eV, and what those with one strain add to its sources y = ∂E/∂η, eV."""
    grid = fields["u"].shape[1:]
    energy, sources = jnp.zeros(grid, weights.dtype), [jnp.zeros(grid, weights.dtype) for _ in VOIGT]
    for weight, coupling in zip(weights, listed):
        for coefficient, factors in coupling.terms:
            product: Any = weight * coefficient
            for field, component, cell in factors:
                product = product * (1.0 if field == "eta" else _shifted(fields[field][component], cell))
            strains = [f.component for f in factors if f.field == "eta"]
            if strains:
                sources[strains[0]] = sources[strains[0]] + product
            else:
                energy = energy + product
    return jnp.sum(energy), jnp.stack(sources)


def check_couplings(listed: Sequence[Coupling], shape: tuple[int, int, int]) -> None:
    """FerrojaxError for couplings of second order in the strain, and for a lattice that one of them wraps around."""
    for coupling in listed:
        if any(sum(f.field == "eta" for f in factors) > 1 for _, factors in coupling.terms):
            raise FerrojaxError(f"coupling {coupling.name}: is of second order in the strain; elastic constants are b11, b12 and b44.")
        if 2 * coupling.reach >= min(shape) and coupling.reach:
            raise FerrojaxError(
                f"coupling {coupling.name}: reaches {coupling.reach} cells, too far for a lattice of {' x '.join(map(str, shape))}; "
                f"take at least {2 * coupling.reach + 1} cells along each axis."
            )


def _shifted(field: Float[Array, "x y z"], cell: tuple[int, int, int]) -> Float[Array, "x y z"]:
    """The field at R + d, at each R."""
    return field if cell == (0, 0, 0) else jnp.roll(field, [-d for d in cell], (0, 1, 2))


def _average(monomial: Monomial, fields: dict[str, Field], group: SpaceGroup) -> Polynomial:
    total: Polynomial = {}
    for w, t, rotation in zip(group.rotations, group.translations, group.cartesian):
        images = [_image(factor, fields[factor.field], w, t, rotation) for factor in monomial]
        for parts in itertools.product(*images):
            key = _canonical(tuple(factor for _, factor in parts))
            total[key] = total.get(key, 0.0) + float(np.prod([c for c, _ in parts])) / len(group.rotations)
    return {key: value for key, value in total.items() if abs(value) > SMALL}


def _image(factor: Factor, field: Field, w: np.ndarray, t: np.ndarray, rotation: np.ndarray) -> list[tuple[float, Factor]]:
    """A factor after an operation, as a sum of others."""
    matrix = _representation(field.kind, rotation)
    cell = (0, 0, 0)
    if field.kind != "strain":
        place = w @ (np.array(factor.cell) + field.site) + t - field.site
        cell = tuple(int(x) for x in np.rint(place))  # type: ignore[assignment]
        if np.abs(place - cell).max() > 1e-3:
            raise FerrojaxError(
                f"the space group does not map the site {field.site} of {factor.field} on itself; choose a site of full symmetry."
            )
    column = matrix[:, factor.component]
    return [(float(c), Factor(factor.field, k, cell)) for k, c in enumerate(column) if abs(c) > SMALL]


def _representation(kind: str, rotation: np.ndarray) -> np.ndarray:
    """Matrix that takes the components of a field to those after a rotation of space."""
    if kind == "scalar":
        return np.eye(1)
    if kind == "polar":
        return rotation
    if kind == "axial":
        return rotation * np.linalg.det(rotation)
    # η' = M η for ε' = R ε Rᵀ; a monomial in η transforms by M⁻ᵀ, whose columns are the images of unit strains turned back.
    rows = []
    for i, j in VOIGT:
        tensor = np.zeros((3, 3))
        tensor[i, j] = tensor[j, i] = 1.0 if i == j else 0.5
        turned = rotation.T @ tensor @ rotation
        rows.append([turned[a, b] if a == b else 2 * turned[a, b] for a, b in VOIGT])
    return np.array(rows)


def _canonical(monomial: Monomial) -> Monomial:
    """Sorted, and moved by a lattice vector so that the first factor with a cell is in cell 0."""
    placed = sorted(monomial, key=lambda f: (f.field == "eta", f.cell, f.field, f.component))
    candidates = []
    for base in {f.cell for f in placed if f.field != "eta"} or {(0, 0, 0)}:
        moved = [
            f if f.field == "eta" else f._replace(cell=(f.cell[0] - base[0], f.cell[1] - base[1], f.cell[2] - base[2])) for f in placed
        ]
        candidates.append(tuple(sorted(moved)))
    return min(candidates)


def _independent(polynomial: Polynomial, others: list[Polynomial]) -> bool:
    keys = sorted({key for p in [*others, polynomial] for key in p})
    matrix = np.array([[p.get(key, 0.0) for key in keys] for p in [*others, polynomial]])
    matrix /= np.abs(matrix).max(1, keepdims=True)
    return bool(np.linalg.matrix_rank(matrix, tol=1e-8) == len(matrix))


def _scaled(polynomial: Polynomial) -> tuple[tuple[float, Monomial], ...]:
    largest = max(polynomial.values(), key=abs)
    return tuple((value / largest, key) for key, value in sorted(polynomial.items()))
