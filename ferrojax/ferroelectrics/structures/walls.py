"""Domain walls: two domains of a bulk crystal in one periodic cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.perovskite import in_order, perovskite, polar_direction
from ferrojax.ferroelectrics.structures.sites import OFFSETS, OX, pick, sites_of
from ferrojax.ferroelectrics.structures.variants import WALLS, Miller, WallGeometry, nearest_variant, operation

MISFIT = 1e-3  # of lengths within the wall, from bulk cells that were not relaxed to the last digit
ON_PLANE = 1e-9  # fractions of the cell within which an atom lies on a plane
SAME = 5e-3  # Å between displacements that a relaxation may leave in cells that are alike
SHIFTS = np.stack(np.meshgrid(*3 * [np.arange(2)], indexing="ij"), -1).reshape(-1, 3)
CELLS = SHIFTS.reshape(2, 2, 2, 1, 3)


@dataclass(frozen=True)
class Domain:
    """A variant of the bulk, seen from the wall: x across, y and z within.

    edges: of one cell along normal, across and along, Å, rows.
    field: displacements of the five sites of cell (i, j, k) of the crystal, Å, of period 2 in each index.
    """

    edges: Float[np.ndarray, "3 3"]
    field: Float[np.ndarray, "2 2 2 5 3"]


def domain_wall(
    bulk: Atoms,
    formula: str,
    angle: int,
    cells: int,
    centre: str = "A",
    charged: bool = False,
    width: float = 0.0,
    shift: Miller = (0, 0, 0),
) -> tuple[Atoms, Atoms]:
    """Two walls between two domains of a polar crystal, and the same without displacements: its reference, atom by atom.

    bulk: polar along any ⟨001⟩ (angle 180 or 90) or ⟨111⟩ (angle 180, 71 or 109), its atoms in any order: one formula unit, or
    2×2×2 of them along the pseudocubic axes where octahedra tilt.
    formula: says which element is A: "PbTiO3".
    cells: along the normal, in steps of the shortest lattice vector along it; even.
    centre: the atoms through which the walls pass, "A", "B" or "O"; what lies on a wall has the mean of both displacements.
    charged: tail to tail at 0 and head to head half way, in place of the wall that carries no charge.
    width: ξ of tanh(x/ξ), Å; 0 for a step.
    shift: cells by which the second domain is moved from where its tilts are most like those of the first: a crystal with
    tilts has such variants, of one polarization. (1, 0, 0) turns all octahedra of a-a-a- the other way: an antiphase boundary on the wall.
    The normal is x; walls stand at x = 0 and half way.

    The cell. Each domain keeps the strain of the bulk, turned so that both agree within the wall, which they can
    if all vectors in it are equally long; so the walls are free of stress. Across, a domain leans by the shear between it
    and the wall; the other leans back by as much, so their sum is upright: the cell is the mean of the two domains, and orthorhombic.

    Raises FerrojaxError for a bulk of another size or that is not polar along these directions, another angle, an odd number of cells
    or below 4, a centre that is no plane, a negative width, or a bulk whose variants do not fit (relax it with its symmetry kept).
    """
    _check(cells, width)
    cell, moved = _displaced(bulk, formula)
    geometry, start = _geometry(moved, angle, charged)
    first, second = (_domain(cell, moved, start, end, geometry) for end in (geometry.first, geometry.second))
    second = _moved(second, np.add(_most_alike(first, second), shift))
    repeats = [_repeats(vector, (first, second)) for vector in (geometry.across, geometry.along)]
    edges = _common((first, second)) * np.array([1, *repeats])[:, None]
    fractions, atoms = _oriented(formula, geometry, cells, repeats)
    i, j, k = np.mod(np.rint(atoms.positions - OFFSETS[sites_of(atoms)]).astype(int), 2).T
    fractions = _centred(fractions, atoms, geometry, cells, centre)
    share = _share(fractions, cells * edges[0, 0, 0], width)[:, None]
    reference = _stretched(fractions, atoms, edges, cells)
    walls = reference.copy()
    sites = sites_of(walls)
    walls.positions += share * first.field[i, j, k, sites] + (1 - share) * second.field[i, j, k, sites]
    return walls, reference


def _displaced(bulk: Atoms, formula: str) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "2 2 2 5 3"]]:
    """The cell of one formula unit, Å, and the displacements in fractions of it, their mean at rest."""
    size = {5: 1, 40: 2}.get(len(bulk))
    if size is None:
        raise FerrojaxError(
            f"bulk: it has {len(bulk)} atoms; give one formula unit of {formula}, or 2x2x2 of them (40 atoms) along the pseudocubic axes "
            "where octahedra tilt."
        )
    ideal = perovskite(formula, 1.0, (size,) * 3)
    moved = (in_order(bulk, ideal).get_scaled_positions(wrap=False) - ideal.get_scaled_positions(wrap=False)) * size
    field = np.broadcast_to((moved - moved.mean(axis=0)).reshape(size, size, size, 5, 3), (2, 2, 2, 5, 3))
    return bulk.cell.array / size, field


def _geometry(moved: Float[np.ndarray, "2 2 2 5 3"], angle: int, charged: bool) -> tuple[WallGeometry, Miller]:
    """The wall asked for and the variant that the bulk is."""
    family, start = nearest_variant(polar_direction(moved.mean(axis=(0, 1, 2))))
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


def _domain(
    cell: Float[np.ndarray, "3 3"], moved: Float[np.ndarray, "2 2 2 5 3"], start: Miller, end: Miller, geometry: WallGeometry
) -> Domain:
    """The variant polar along ``end``, turned into the frame of the wall.

    The place p of the crystal, in lengths of a cell from an A atom, is op⁻¹ p in the bulk, and so is each direction.
    """
    op = operation(start, end)
    directions = np.array([geometry.normal, geometry.across, geometry.along]) @ op  # rows op⁻¹ m, as op⁻¹ = opᵀ
    edges = directions @ cell
    y = edges[1] / np.linalg.norm(edges[1])
    x = np.cross(edges[1], edges[2])
    x *= np.sign(x @ edges[0]) / np.linalg.norm(x)
    # An operation with a reflection leaves a left-handed frame: it mirrors the crystal, as it should.
    z = np.cross(x, y)
    frame = np.array([x, y, z * np.sign(z @ edges[2])]).T
    sources = _permutation(op)
    i, j, k = np.moveaxis(np.mod(np.rint((CELLS + OFFSETS) @ op - OFFSETS[sources]).astype(int), 2), -1, 0)
    return Domain(edges @ frame, moved[i, j, k, sources] @ cell @ frame)


def _permutation(op: np.ndarray) -> list[int]:
    """For each site, the one that the operation takes there: oxygens change places as the directions of their bonds do."""
    return [0, 1, *(OX + np.abs(op).argmax(axis=1))]


def _moved(domain: Domain, cells: np.ndarray) -> Domain:
    """The domain moved by whole cells: only its tilts feel that."""
    i, j, k = np.mod(CELLS - cells, 2)[..., 0, :].transpose(3, 0, 1, 2)
    return replace(domain, field=domain.field[i, j, k])


def _most_alike(first: Domain, second: Domain) -> Int[np.ndarray, "3"]:
    """Cells by which to move the second domain so that what differs from cell to cell, the tilts, is most like the first."""
    tilts = first.field - first.field.mean(axis=(0, 1, 2))
    overlap = np.array([(tilts * _moved(second, cells).field).sum() for cells in SHIFTS])
    return SHIFTS[int(np.argmax(overlap > overlap.max() - SAME**2))]


def _repeats(vector: Miller, domains: Sequence[Domain]) -> int:
    """Times that a lattice vector must be taken to be a period of both domains."""
    return 1 + any(np.abs(_moved(domain, np.array(vector)).field - domain.field).max() > SAME for domain in domains)


def _common(domains: Sequence[Domain]) -> Float[np.ndarray, "2 3 3"]:
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


def _oriented(formula: str, geometry: WallGeometry, cells: int, repeats: Sequence[int]) -> tuple[Float[np.ndarray, "atoms 3"], Atoms]:
    """Fractions along normal, across and along of an ideal crystal of unit cells, and its atoms."""
    rows = np.array([geometry.normal, geometry.across, geometry.along]) * np.array([cells, *repeats])[:, None]
    atoms = make_supercell(perovskite(formula, 1.0), rows)
    return np.linalg.solve(rows.T.astype(float), atoms.positions.T).T, atoms


def _centred(
    fractions: Float[np.ndarray, "atoms 3"], atoms: Atoms, geometry: WallGeometry, cells: int, centre: str
) -> Float[np.ndarray, "atoms 3"]:
    """Moved along the normal so that a plane of ``centre`` lies at x = 0."""
    first = pick(atoms, "Oz" if centre == "O" else centre)[0]
    normal = np.array(geometry.normal)
    x = fractions[:, :1] - OFFSETS[sites_of(atoms)[first]] @ normal / (normal @ normal) / cells
    return np.hstack([np.mod(x + ON_PLANE, 1.0) - ON_PLANE, np.mod(fractions[:, 1:] + ON_PLANE, 1.0) - ON_PLANE])


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
