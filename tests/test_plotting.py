"""Figures: size and letters of a journal's column, data where they belong, colours that colour-blind readers tell apart."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from matplotlib.image import imread

from ferrojax import plotting as pt
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.walls import fit_walls, kinks

GRID = np.arange(6) + 0.5


@pytest.fixture
def axes():
    with pt.journal():
        yield pt.figure()[1]


def test_a_figure_is_a_column_wide_with_letters_of_eight_points(axes, tmp_path):
    pt.loop(axes, np.array([-1.0, 1.0]), np.array([-0.1, 0.1]))
    made = axes.figure
    pt.save(made, tmp_path / "new" / "loop.png", dpi=100)
    assert imread(tmp_path / "new" / "loop.png").shape[1] == pytest.approx(85 / 25.4 * 100, abs=1)  # whole pixels
    assert axes.xaxis.label.get_size() == 8 and {t.get_size() for t in axes.get_xticklabels()} == {7}
    for kind, head in (("pdf", b"%PDF"), ("svg", b"<?xml")):
        pt.save(made, tmp_path / f"loop.{kind}")
        assert (tmp_path / f"loop.{kind}").read_bytes().startswith(head)
    with pytest.raises(FerrojaxError, match="png, pdf, svg"):
        pt.save(made, tmp_path / "loop.jpg")
    assert not list(tmp_path.glob("*.jpg")) + list(tmp_path.glob(".*"))


def seen_by(rgb, kind):
    """sRGB as dichromats see it, in CIELAB. Machado et al., IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), severity 1."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "usual": np.eye(3),
    }
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrices[kind]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", ["usual", "protan", "deutan"])
def test_directions_along_the_axes_have_colours_of_their_own(kind):
    """Twenty CIELAB units: seen at once; the just noticeable difference is about two."""
    around = pt.direction_colours(np.array([(1.0, 0), (0, 1.0), (-1.0, 0), (0, -1.0)]))
    for one, two in itertools.combinations(around, 2):
        assert np.linalg.norm(seen_by(one, kind) - seen_by(two, kind)) > 20


def test_colours_know_direction_and_length():
    vectors = np.array([(0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (-0.2, 0.0), (5.0, 0.0)])
    colours = pt.direction_colours(vectors, largest=0.2)
    assert (colours[0] == 1).all() and np.allclose(colours[4], colours[2])
    assert np.allclose(1 - colours[1], (1 - colours[2]) / 2) and not np.allclose(colours[2], colours[3])
    turned = pt.direction_colours(np.array([(np.cos(a), np.sin(a)) for a in (-1e-9, 1e-9)]))
    assert np.abs(turned[0] - turned[1]).max() < 0.02, "no seam"


def test_vector_map_puts_cells_and_arrows_in_their_places(axes):
    vectors = np.zeros((6, 4, 2))
    vectors[5, 0] = (0.0, 0.3)  # right, bottom
    pt.vector_map(axes, GRID, GRID[:4], vectors, arrows=6)
    image, (arrows,) = axes.images[0], [c for c in axes.collections if hasattr(c, "U")]
    assert image.get_extent() == [0, 6, 0, 4] and image.origin == "lower"
    colours = np.asarray(image.get_array())
    assert colours.shape == (4, 6, 3) and (colours[0, 5] < 1).any() and (colours[1:] == 1).all() and (colours[0, :5] == 1).all()
    moved = np.flatnonzero(arrows.V)
    assert len(moved) == 1 and arrows.V[moved[0]] == 0.3 and tuple(arrows.XY[moved[0]]) == (5.5, 0.5)
    assert len(axes.child_axes) == 1, "the colour wheel"


def test_component_map_is_symmetric_about_zero(axes):
    pt.component_map(axes, GRID, GRID, np.linspace(-1, 3, 36).reshape(6, 6), "$P_z$ (C/m²)")
    assert axes.images[0].get_clim() == (-3, 3) and axes.images[0].get_array()[0, 1] == pytest.approx(-1 + 4 / 35 * 6)


def test_phase_diagram_names_its_cells(axes):
    phases = [["r", "r", "c"], ["t", "t", "c"]]
    pt.phase_diagram(axes, GRID[:2], GRID[:3], phases, order=("c", "t", "r"))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["c", "t", "r"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[2, 1], [2, 1], [0, 0]])


def test_curves_draw_what_they_are_given(axes):
    x = np.linspace(-20, 20, 21)
    pt.wall_profile(axes, x, np.stack([0 * x, 0 * x, np.tanh(x / 4)], 1), fit=(1.0, 0.0, 4.0))
    fit = axes.lines[3]
    np.testing.assert_allclose(fit.get_ydata(), np.tanh(fit.get_xdata() / 4))
    assert "4 Å" in fit.get_label() and axes.get_ylabel() == "P (C/m²)"
    axes.clear()
    pt.energy_path(axes, np.arange(5.0), np.array([1.0, 1.02, 1.05, 1.02, 1.0]))
    assert axes.lines[1].get_xydata().tolist() == [[2.0, pytest.approx(50.0)]] and axes.texts[0].get_text() == "50 meV"
    axes.clear()
    virgin = np.array([True, True, False, False])
    pt.loop(axes, np.arange(4.0), np.arange(4.0) / 10, virgin)
    assert axes.lines[0].get_linestyle() == "--" and axes.lines[1].get_xdata().tolist() == [2.0, 3.0]
    axes.clear()
    pt.bands(axes, np.array([[0.0, 1.0], [1.0, 2.0]]), np.zeros((2, 2, 3)), [0, 1, 2], ["Γ", "X", "M"])
    assert [t.get_text() for t in axes.get_xticklabels()] == ["Γ", "X", "M"] and len(axes.lines) == 2 * 3 + 3 + 1
    axes.clear()
    pt.parity(axes, np.array([0.0, 1.0]), np.array([0.0, 1.2]), "eV/Å", "forces")
    assert f"{0.2 / np.sqrt(2):.3g} eV/Å" in axes.get_title(loc="left")
    axes.clear()
    pt.training_curve(axes, {"forces": ([0, 1], [1.0, 0.1]), "energy": ([], [])}, "RMSE")
    assert len(axes.lines) == 1 and axes.get_yscale() == "log"


def test_a_fit_of_several_walls_is_drawn_over_its_period(axes):
    """Two walls of different widths and domains of different size, planes where ``fit_walls`` has them."""
    length, planes = 80.0, 20
    x = (np.arange(planes) + 0.5) * length / planes

    def law(x):
        return 0.1 + 0.7 * kinks(x, np.array([18.0, 55.0]), np.array([3.0, 5.0]), np.array([-1, 1]), length)

    pt.wall_profile(axes, x, law(x)[:, None] * np.eye(3)[2], fit=fit_walls(law(x), length))
    fine, curve = axes.lines[3].get_data()
    np.testing.assert_allclose(curve, law(fine), atol=1e-6)
    assert fine[0] == 0.0 and fine[-1] == length and axes.lines[3].get_label() == "tanh, 2ξ = 6 and 10 Å"


def test_equal_components_of_a_profile_are_both_seen(axes):
    pt.wall_profile(axes, GRID, np.zeros((6, 3)))
    first, second = axes.lines[:2]
    assert first.get_marker() != second.get_marker()
    assert first.get_fillstyle() == "none" and first.get_markersize() > 1.5 * second.get_markersize()


def test_a_sketch_has_atoms_cell_and_arrows_where_they_belong(axes):
    """Without a turn z points at the reader: x and y stay, and the atom on top is drawn last."""
    atoms = Atoms("PbTi", positions=[[0, 0, 3.0], [2, 1.0, 0]], cell=[4.0, 5.0, 6.0], pbc=True)
    pt.sketch(axes, atoms, np.array([[0.0, 0.1, 0.2], [0.1, 0.0, -0.2]]), scale=10.0, turn="")
    balls, arrows = axes.collections
    np.testing.assert_allclose(balls.get_offsets(), [[2, 1], [0, 0]])
    np.testing.assert_allclose(np.c_[arrows.U, arrows.V], [[0, 1], [1, 0]], atol=1e-12)
    assert len(axes.lines) == 12 and len({tuple(c) for c in arrows.get_facecolor()}) == 2
    axes.clear()
    pt.sketch(axes, atoms, turn="-90x")  # z upwards
    np.testing.assert_allclose(sorted(axes.collections[0].get_offsets().tolist()), [[0, 3], [2, 0]], atol=1e-12)
    with pytest.raises(FerrojaxError, match=r"sketch: 2 atoms need vectors of shape \(2, 3\)"):
        pt.sketch(axes, atoms, np.zeros((3, 3)))


def test_figures_of_notebooks_are_readable():
    with pt.journal():
        assert pt.figure()[0].dpi >= 150


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda axes: pt.vector_map(axes, GRID[:1], GRID[:2], np.zeros((1, 2, 2))), "at least two"),
        (lambda axes: pt.component_map(axes, GRID**2, GRID, np.zeros((6, 6)), "P"), "evenly spaced"),
        (lambda axes: pt.phase_diagram(axes, GRID, GRID, [["c"]]), "columns first"),
        (lambda axes: pt.phase_diagram(axes, GRID[:2], GRID[:2], [["c", "x"]] * 2, order=("c",)), r"\['x'\]"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(axes, draw, words):
    with pytest.raises(FerrojaxError, match=words):
        draw(axes)
