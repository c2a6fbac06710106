"""Domain walls: two domains of a bulk crystal in one periodic cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.perovskite import in_order, perovskite, polar_direction
from ferrojax.ferroelectrics.structures.sites import OFFSETS, OX, pick, sites_of
from ferrojax.ferroelectrics.structures.variants import WALLS, Miller, WallGeometry, nearest_variant, operation

MISFIT = 1e-3  # of lengths within the wall, from bulk cells that were not relaxed to the last digit
ON_PLANE = 1e-9  # fractions of the cell within which an atom lies on a plane


@dataclass(frozen=True)
class Domain:
    """A variant of the bulk, seen from the wall: x across, y and z within.

    edges: of one cell along normal, across and along, Å, rows. sites: displacements of the five sites, Å.
    """

    edges: Float[np.ndarray, "3 3"]
    sites: Float[np.ndarray, "5 3"]


def domain_wall(
    bulk: Atoms, formula: str, angle: int, cells: int, centre: str = "A", charged: bool = False, width: float = 0.0
) -> tuple[Atoms, Atoms]:
    """Two walls between two domains of a polar crystal, and the same without polarization: its reference, atom by atom.

    bulk: one formula unit, polar along any ⟨001⟩ (angle 180 or 90) or ⟨111⟩ (angle 180, 71 or 109), its atoms in any order.
    formula: says which element is A: "PbTiO3".
    cells: along the normal, in steps of the shortest lattice vector along it; even.
    centre: the atoms through which the walls pass, "A", "B" or "O"; what lies on a wall has the mean of both displacements.
    charged: tail to tail at 0 and head to head half way, in place of the wall that carries no charge.
    width: ξ of tanh(x/ξ), Å; 0 for a step.
    The normal is x; walls stand at x = 0 and half way.

    The cell. Each domain keeps the strain of the bulk, turned so that both agree within the wall, which they can
    if all vectors in it are equally long; so the walls are free of stress. Across, a domain leans by the shear between it
    and the wall; the other leans back by as much, so their sum is upright: the cell is the mean of the two domains, and orthorhombic.

    Raises FerrojaxError for a bulk that is not polar along these directions, another angle, an odd number of cells or below 4, a
    centre that is no plane, a negative width, or a bulk whose variants do not fit (relax it with its symmetry kept).
    """
    ordered = in_order(bulk, perovskite(formula, 1.0))
    geometry, start = _geometry(ordered, angle, charged)
    _check(cells, width)
    domains = [_domain(ordered, start, end, geometry) for end in (geometry.first, geometry.second)]
    edges = _common(domains)
    crystal = _oriented(formula, geometry, cells, centre)
    share = _share(crystal[0], cells * edges[0, 0, 0], width)
    reference = _stretched(*crystal, edges, cells)
    walls = reference.copy()
    sites = sites_of(walls)
    walls.positions += sum(weight[:, None] * domain.sites[sites] for weight, domain in zip((share, 1 - share), domains))
    return walls, reference


def _geometry(bulk: Atoms, angle: int, charged: bool) -> tuple[WallGeometry, Miller]:
    """The wall asked for and the variant that the bulk is."""
    family, start = nearest_variant(polar_direction(_fractions(bulk)))
    geometry = WALLS.get((family, angle, charged))
    if geometry is None:
        known = sorted({a for f, a, _ in WALLS if f == family})
        raise FerrojaxError(f"a {family} crystal has walls of {known} degrees; got {angle}.")
    return geometry, start


def _check(cells: int, width: float) -> None:
    if cells % 2 or cells < 4:
        raise FerrojaxError(f"two walls need an even number of cells, at least 4; got {cells}.")
    if not width >= 0:
        raise FerrojaxError(f"the width of a wall must be 0 Å or more; got {width}.")


def _fractions(bulk: Atoms) -> Float[np.ndarray, "5 3"]:
    """Displacements of the five sites in fractions of the cell, their mean at rest."""
    moved = bulk.get_scaled_positions(wrap=False) - OFFSETS
    return moved - moved.mean(axis=0)


def _domain(bulk: Atoms, start: Miller, end: Miller, geometry: WallGeometry) -> Domain:
    """The variant polar along ``end``, turned into the frame of the wall.

    The direction m of the cube is op⁻¹ m in the bulk, and its site op s is there the site s.
    """
    op = operation(start, end)
    directions = np.array([geometry.normal, geometry.across, geometry.along]) @ op  # rows op⁻¹ m, as op⁻¹ = opᵀ
    edges = directions @ bulk.cell.array
    y = edges[1] / np.linalg.norm(edges[1])
    x = np.cross(edges[1], edges[2])
    x *= np.sign(x @ edges[0]) / np.linalg.norm(x)
    # An operation with a reflection leaves a left-handed frame: it mirrors the crystal, as it should.
    z = np.cross(x, y)
    frame = np.array([x, y, z * np.sign(z @ edges[2])]).T
    moved = _fractions(bulk) @ bulk.cell.array
    return Domain(edges @ frame, moved[_permutation(op)] @ frame)


def _permutation(op: np.ndarray) -> list[int]:
    """For each site, the one that the operation takes there: oxygens change places as the directions of their bonds do."""
    return [0, 1, *(OX + np.abs(op).argmax(axis=1))]


def _common(domains: list[Domain]) -> Float[np.ndarray, "2 3 3"]:
    """Edges of both domains with the same vectors within the wall: their mean, from which they may differ by rounding."""
    edges = np.array([domain.edges for domain in domains])
    within = edges[:, 1:]
    misfit = np.abs(within[0] - within[1]).max() / np.abs(within).max()
    lean = np.abs(edges[:, 0].sum(axis=0)[1:]).max() / edges[0, 0, 0]
    skew = np.abs(within[:, 1, 1]).max() / within.max()
    if max(misfit, lean, skew) > MISFIT:
        raise FerrojaxError(
            f"bulk: its variants do not fit on this wall: lengths differ by {misfit:.2%}, the domains lean by {lean:.2%} in sum "
            f"and the cell is skew by {skew:.2%}; relax the bulk with the symmetry of its phase kept."
        )
    edges[:, 1:] = np.diag(np.diag(within.mean(axis=0)[:, 1:])) @ np.eye(3)[1:]
    edges[:, 0, 1:] -= edges[:, 0, 1:].mean(axis=0)
    return edges


def _oriented(formula: str, geometry: WallGeometry, cells: int, centre: str) -> tuple[Float[np.ndarray, "atoms 3"], Atoms]:
    """Fractions along normal, across and along of an ideal crystal with a plane of ``centre`` at x = 0, and its atoms."""
    unit = perovskite(formula, 1.0)
    rows = np.array([np.array(geometry.normal) * cells, geometry.across, geometry.along])
    atoms = make_supercell(unit, rows)
    fractions = np.linalg.solve(rows.T.astype(float), atoms.positions.T).T
    start = pick(unit, "Oz" if centre == "O" else centre)[0]
    fractions[:, 0] -= OFFSETS[start] @ np.linalg.inv(rows.astype(float))[:, 0]
    return np.mod(fractions + ON_PLANE, 1.0) - ON_PLANE, atoms


def _share(fractions: Float[np.ndarray, "atoms 3"], length: float, width: float) -> Float[np.ndarray, " atoms"]:
    """Of the first domain in each atom: it fills the first half of the cell."""
    x = fractions[:, 0]
    from_wall = np.where(x <= 0.5, np.minimum(x, 0.5 - x), -np.minimum(x - 0.5, 1 - x)) * length
    from_wall[np.abs(from_wall) < ON_PLANE * length] = 0.0
    return 0.5 * (1 + (np.tanh(from_wall / width) if width else np.sign(from_wall)))


def _stretched(fractions: Float[np.ndarray, "atoms 3"], atoms: Atoms, edges: Float[np.ndarray, "2 3 3"], cells: int) -> Atoms:
    """The ideal crystal with the first half of its cells strained as one domain and the second half as the other."""
    first, second = np.minimum(fractions[:, :1], 0.5), np.maximum(fractions[:, :1] - 0.5, 0)
    positions = cells * (first * edges[0, 0] + second * edges[1, 0]) + fractions[:, 1:] @ edges[0, 1:]
    cell = np.array([cells * edges[:, 0].mean(axis=0), edges[0, 1], edges[0, 2]])
    found = Atoms(atoms.numbers, positions=positions, cell=cell, pbc=True)
    found.set_array("site", sites_of(atoms).copy())
    return found
