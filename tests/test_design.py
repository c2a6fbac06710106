"""Inverse design: a double well known in closed form, gradients against structures relaxed anew, and what is refused."""

import csv
import functools
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from ferrojax import cli, design, effective
from ferrojax.design import Constraint, Problem, Structure, field_component, optimise, scan, setting, strain_component
from ferrojax.design.command import problem_of
from ferrojax.design.config import DesignConfig
from ferrojax.effective.lattice import LatticeState
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point
from ferrojax.sections import read_section

A, B, K, Q = 2.0, 5.0, 3.0, 8.0  # eV/Å², eV/Å⁴, eV/Å², eV/Å²: F below
NO_FIELD = jnp.zeros(3)


def double_well(params, state, strain, field):
    """F = -½ (a + 2qε) z² + ¼ b z⁴ + ½ k (x² + y²) - E·u, ε = ε_xx; z² = (a + 2qε)/b, E_b = (a + 2qε)²/4b."""
    u = state.modes[0, 0, 0]
    a = params["a"] + 2 * Q * strain[0, 0]
    return -0.5 * a * u[2] ** 2 + 0.25 * B * u[2] ** 4 + 0.5 * K * (u[0] ** 2 + u[1] ** 2) - field @ u


def point(mode):
    state = LatticeState(jnp.asarray(mode, float).reshape(1, 1, 1, 3), cell=4.0 * jnp.eye(3), mass=jnp.ones(3))
    return Point(state, jnp.zeros((3, 3)))


WELLS = {"well": Structure(point((0, 0, 0.6))), "top": Structure(point((0, 0, 0.01)), saddle=True)}
COST = 30.0  # eV


def costly_barrier(here):
    """E_b - c ε², largest at ε = qa/(2 (bc - q²))."""
    return here.barrier("top", "well") - COST * here.setting.strain[0, 0] ** 2


def problem(upper=0.2, **more):
    options = {"objective": costly_barrier, "sense": "maximise"} | more
    variable = strain_component("xx", -0.11, upper, 0.0)
    return Problem(double_well, setting({"a": jnp.asarray(A)}), [variable], WELLS, **options)


@functools.cache
def unconstrained():
    return problem()


OPTIMUM = Q * A / (2 * (B * COST - Q**2))


@pytest.mark.parametrize("method, error", [("slsqp", 1e-5), ("lbfgs", 1e-6), ("adam", 1e-3)])
def test_optimum_of_a_double_well_in_closed_form(method, error):
    found = optimise(unconstrained(), method, tolerance=1e-12)
    assert float(found.z[0]) == pytest.approx(OPTIMUM, rel=error)
    expected = (A + 2 * Q * OPTIMUM) ** 2 / (4 * B) - COST * OPTIMUM**2
    assert found.found.objective == pytest.approx(expected, rel=1e-5)
    assert found.confirm()[0] == pytest.approx(expected, rel=1e-5)
    objectives = [record.objective for record in found.trace if record.accepted]
    assert found.trace[0].gradient_norm > 10 * found.trace[-1].gradient_norm
    assert max(objectives) == pytest.approx(expected, rel=1e-5)


def test_bounds_hold():
    """The optimum in closed form lies beyond the bound."""
    found = optimise(problem(upper=0.5 * OPTIMUM), "lbfgs")
    assert found.z[0] == pytest.approx(0.5 * OPTIMUM, rel=1e-12)
    assert all(record.z[0] <= 0.5 * OPTIMUM * (1 + 1e-12) for record in found.trace)


def test_constraints_hold():
    """|u| = u0 decides: (a + 2qε)/b = u0²."""

    def length(here):
        return jnp.linalg.norm(here.state("well").coordinates)

    limit = 0.65
    found = optimise(problem(constraints={"length": Constraint(length, upper=limit)}), tolerance=1e-8)
    assert float(found.z[0]) == pytest.approx((B * limit**2 - A) / (2 * Q), rel=1e-6)
    assert found.found.constraints[0] <= limit + 1e-6
    with pytest.raises(FerrojaxError, match="lbfgs takes no constraints"):
        optimise(found.problem, "lbfgs")
    never = problem(constraints={"length": Constraint(length, lower=2.0)})
    with pytest.raises(FerrojaxError, match=r"length = .* misses its bounds 2 to inf"):
        optimise(never)


def against_a_field(**constraints):
    """The well up in a field down, which the objective wants as large as can be: the well ends at E = -2a/3 √(a/3b) = -0.4869 V/Å."""
    variable, base = field_component("z", -0.8, 0.1, 0.0), setting({"a": jnp.asarray(A)})
    return Problem(double_well, base, [variable], {"well": WELLS["well"]}, lambda here: here.field("well")[2], constraints)


@pytest.mark.slow
def test_a_path_that_loses_its_minimum_names_the_soft_mode():
    with pytest.raises(FerrojaxError, match=r"no optimum inside the stable region.*softest mode of well .* eV/Å².*here\.stiffness"):
        optimise(against_a_field(), max_steps=4)
    # Held at a stiffness -a + 3bz² = 1 eV/Å² it has an optimum, at E = -az + bz³.
    held = optimise(against_a_field(stiffness=Constraint(lambda here: here.stiffness("well"), lower=1.0)), tolerance=1e-8)
    z = np.sqrt((1 + A) / (3 * B))
    assert float(held.z[0]) == pytest.approx(-A * z + B * z**3, rel=1e-6)


def test_scan_finds_the_same_optimum_and_leaves_out_lost_points():
    grid = np.linspace(-0.11, 0.11, 23)
    values = scan(unconstrained(), {"strain_xx": grid})
    assert values.shape == (23, 1)
    np.testing.assert_allclose(values[:, 0], (A + 2 * Q * grid) ** 2 / (4 * B) - COST * grid**2, rtol=1e-9)
    assert abs(grid[values[:, 0].argmax()] - OPTIMUM) <= 0.005
    z = np.array([0.05])
    found = unconstrained().evaluate(z, unconstrained().relaxed(z, unconstrained().first()))
    assert found.slope[0] == pytest.approx(Q * (A + 2 * Q * 0.05) / B - 2 * COST * 0.05, rel=1e-9)
    lost = scan(against_a_field(), {"field_z": [-0.6, -0.4, 0.0]})[:, 0]
    assert np.isnan(lost[0]) and lost[1:].tolist() == [-0.4, 0.0]
    with pytest.raises(FerrojaxError, match="a scan is over some of strain_xx; got field_z"):
        scan(unconstrained(), {"field_z": [0.0]})


def test_committee_confirmation_and_files(tmp_path):
    found = optimise(unconstrained(), "lbfgs")
    members = [{"a": jnp.asarray(a)} for a in (1.9, 2.0, 2.2)]
    committee = found.committee(members)
    expected = [(a + 2 * Q * found.z[0]) ** 2 / (4 * B) - COST * found.z[0] ** 2 for a in (1.9, 2.0, 2.2)]
    np.testing.assert_allclose(committee.values[:, 0], expected, rtol=1e-9)
    assert committee.spread[0] == pytest.approx(np.std(expected, ddof=1))
    with pytest.raises(FerrojaxError, match="at least 2 parameter sets; got 1"):
        found.committee(members[:1])
    design.save(found, tmp_path, note="test")
    saved = json.loads((tmp_path / "design.json").read_text())
    assert saved["optimum"]["strain_xx"] == found.z[0] and saved["note"] == "test"
    rows = list(csv.DictReader((tmp_path / "trace.csv").open()))
    assert len(rows) == len(found.trace) and float(rows[0]["objective"]) == found.trace[0].objective
    assert (tmp_path / "trace.png").stat().st_size > 5000


def test_a_design_that_a_fresh_calculation_does_not_find_is_not_confirmed():
    """In a field the two wells differ; the structures followed are those of the other well."""
    low, base = {"well": WELLS["well"]}, setting({"a": jnp.asarray(A)}, field=(0, 0, 0.05))
    up = Problem(double_well, base, [strain_component("xx", -0.01, 0.01, 0.0)], low, lambda here: here.enthalpy("well"))
    found = optimise(up, "lbfgs")
    found.confirm()
    down = Problem(double_well, base, up.variables, {"well": Structure(point((0, 0, -0.6)))}, up.objective)
    with pytest.raises(FerrojaxError, match="not confirmed: the objective is"):
        design.Design(down, found.z, found.found, found.points, found.trace, "lbfgs").confirm()


def test_bad_problems_are_refused():
    for arguments, words in (
        (("xx", 0.1, -0.1, 0.0), "finite bounds lower < upper"),
        (("xx", -0.1, 0.1, 0.2), "start between"),
        (("ab", -0.1, 0.1, 0.0), "a strain component is one of xx"),
    ):
        with pytest.raises(FerrojaxError, match=words):
            strain_component(*arguments)
    with pytest.raises(FerrojaxError, match="a field component is x, y or z"):
        field_component("a", 0.0, 1.0, 0.0)
    with pytest.raises(FerrojaxError, match="a layer is 0 to 4 cells thick"):
        design.layer_thickness((1, 1, 4), 1.0, 5.0, 2.0)
    with pytest.raises(FerrojaxError, match="lower <= upper"):
        Constraint(lambda here: here.enthalpy("well"), 1.0, 0.0)
    with pytest.raises(FerrojaxError, match="names of their own"):
        Problem(double_well, setting({}), [strain_component("xx", 0, 1, 0)] * 2, WELLS, costly_barrier)
    with pytest.raises(FerrojaxError, match="the method is one of slsqp, lbfgs, adam"):
        optimise(unconstrained(), "newton")
    with pytest.raises(FerrojaxError, match="structure well is lost at strain_xx = 0"):
        optimise(
            Problem(double_well, unconstrained().base, unconstrained().variables, {"well": Structure(point((0, 0, 0)))}, costly_barrier)
        )
    with pytest.raises(FerrojaxError, match="mixing needs two parameter sets of the same model"):
        design.mixing({"b": jnp.ones(2)}).apply(setting({"a": jnp.ones(())}), jnp.asarray(0.5))


# Objectives on the effective Hamiltonian, against structures relaxed anew.


def barium_titanate(*names):
    """A monoclinic cell on an anisotropic substrate, and the saddle of its 180° rotation; the barrier and others as one vector."""
    params, enthalpy, free = effective.load_parameters("batio3-wc"), effective.make_enthalpy((1, 1, 1)), (2, 3, 4)
    substrate = effective.strain_tensor(jnp.array([0.006, -0.014, 0, 0, 0, 0]))

    def start(mode):
        found = effective.stationary(enthalpy, params, effective.uniform_state((1, 1, 1), mode), substrate, clamp="epitaxial")
        return Point(effective.prepare(params, found.state), found.strain)

    low, high = start((0.1, 0.0, 0.15)), start((0.115, 0.0, 0.0))
    structures = {
        "up": Structure(low, free=free),
        "top": Structure(high, saddle=True, free=free),
        "remanent": Structure(low, free=free, in_field=False),
    }
    others = {
        "polarization": lambda here: here.polarization("up")[2],
        "remanence": lambda here: here.polarization("remanent")[2],
        "susceptibility": lambda here: here.susceptibility("up")[2, 2],
        "d33": lambda here: here.piezoelectric("up")[2, 2],
        "stiffness": lambda here: here.stiffness("up"),
        "height": lambda here: here.strain("up")[2, 2],
    }
    variables = [
        strain_component("xx", 0.0, 0.012, 0.006),
        field_component("z", -2e-3, 2e-3, 1e-3),
        design.mixing(params.replace(alpha=1.05 * params.alpha, gamma=0.98 * params.gamma), start=0.2),
    ]
    constraints = {name: Constraint(others[name], lower=-1e9) for name in names}
    base = setting(params, strain=substrate.at[0, 0].set(0.0))
    return Problem(enthalpy, base, variables, structures, lambda here: here.barrier("top", "up"), constraints)


def relative_errors(problem, steps, points):
    """Of each derivative by each variable against sixth-order differences of calculations relaxed anew."""
    z, found = problem.start, problem.evaluate(problem.start, points)
    slopes = np.concatenate([found.slope[None], found.constraint_slopes])
    errors = np.zeros(slopes.shape)
    for k, h in enumerate(steps):
        unit = np.eye(len(z))[k]
        values = {j: problem.value(z + j * h * unit, problem.relaxed(z + j * h * unit, points)) for j in (-3, -2, -1, 1, 2, 3)}
        numeric = sum(w * (values[j] - values[-j]) for j, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))) / h
        errors[:, k] = np.abs(slopes[:, k] - numeric) / np.maximum(np.abs(numeric), 1e-12)
    return errors


def worst_error(*names):
    problem = barium_titanate(*names)
    points = problem.relaxed(problem.start, problem.first())
    return relative_errors(problem, (1e-4, 5e-5, 1e-2), points).max()


@pytest.mark.slow
def test_gradients_of_all_objectives_against_structures_relaxed_anew(claim):
    """Susceptibility and d33 are derivatives themselves: theirs are third ones of the energy, through the relaxation."""
    claim("D-design-gradient", worst_error("polarization", "remanence", "susceptibility", "d33", "stiffness", "height"))


@pytest.mark.slow
def test_gradients_by_the_thickness_of_a_layer():
    """Polarization and susceptibility of a superlattice of 6 cells, by thickness and substrate."""
    params, shape, free = effective.load_parameters("basrtio3-x50"), (1, 1, 6), (2, 3, 4)
    thickness = design.layer_thickness(shape, 1.0, 5.0, 2.7)
    substrate = jnp.diag(jnp.array([-0.012, -0.012, 0.0]))
    state = thickness.apply(setting(params), jnp.asarray(2.7)).occupation
    start = effective.uniform_state(shape, (0, 0, 0.15)).replace(occupation=state)
    enthalpy = effective.make_enthalpy(shape)
    found = effective.minimise(enthalpy, params, start, substrate, clamp="epitaxial")
    well = Structure(Point(effective.prepare(params, found.state), found.strain), free=free)
    problem = Problem(
        enthalpy,
        setting(params, strain=substrate),
        [thickness, design.epitaxial(-0.005, 0.005, 0.0)],
        {"well": well},
        lambda here: here.polarization("well")[2],
        {"susceptibility": Constraint(lambda here: here.susceptibility("well")[2, 2], lower=0.0)},
    )
    points = problem.relaxed(problem.start, problem.first())
    assert relative_errors(problem, (2e-2, 1e-4), points).max() < 1e-5


# The command line.


def example(**changes):
    text = (Path(design.__file__).parent / "example.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text) | changes


def test_the_example_is_the_problem_it_says():
    config, folder = read_section(DesignConfig, example())
    problem = problem_of(config, folder)
    assert problem.names == ["strain_xx", "strain_yy", "field_z"] and set(problem.structures) == {"up", "top", "remanent"}
    assert problem.structures["top"].saddle and problem.structures["up"].free == (2, 3, 4) and not problem.structures["remanent"].in_field
    assert problem.constraints["remanence"].lower == 0.4
    np.testing.assert_allclose(problem.setting(problem.start).strain, np.diag([0.005, -0.015, 0.0]))


def test_a_bad_configuration_is_refused(capsys):
    for changes, words in (
        ({"model": "x"}, "exactly one of effective and model"),
        ({"objective": {"quantity": "barrier", "of": ["up"]}}, "needs 2 structures in 'of' for barrier"),
        ({"objective": {"quantity": "polarization", "of": ["up"]}}, "needs 1 letters in 'component' for polarization"),
        ({"objective": {"quantity": "enthalpy", "of": ["down"]}}, "the structure 'down', which is not among up, top, remanent"),
        ({"variables": {"pressure": {"lower": 0, "upper": 1, "start": 0}}}, "no variable 'pressure'; take epitaxial"),
        ({"method": "newton"}, "method"),
    ):
        with pytest.raises(FerrojaxError, match=words):
            problem_of(*read_section(DesignConfig, example(**changes)))
    assert cli.main(["design", "--example"]) == 0
    assert "effective: batio3-wc" in capsys.readouterr().out
    assert cli.main(["design"]) == 2
    assert "needs a configuration file" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_its_example_to_the_end(tmp_path, capsys):
    """The barrier falls at the remanence asked for; the field goes to its bound against P, and the files hold what was confirmed."""
    config = tmp_path / "design.yaml"
    config.write_text(yaml.safe_dump(example(output="out")), encoding="utf-8")
    assert cli.main(["design", str(config)]) == 0
    assert "strain_xx" in capsys.readouterr().out
    found = json.loads((tmp_path / "out/design.json").read_text())
    first = found["trace"][0]
    assert found["constraints"]["remanence"] == pytest.approx(0.4, abs=1e-5)
    assert found["objective"] < first["objective"] and found["optimum"]["field_z"] == pytest.approx(-0.002, abs=1e-9)
    assert found["confirmed"] == pytest.approx([found["objective"], found["constraints"]["remanence"]], rel=1e-5)
    # At the optimum no feasible direction leads down: xx at its bound and falling there, yy tied by the remanence.
    assert found["optimum"]["strain_xx"] == pytest.approx(0.015, abs=1e-6) and found["gradient"]["strain_xx"] < 0
    rows = (tmp_path / "out/trace.csv").read_text().splitlines()
    assert len(rows) == 1 + len(found["trace"]) and (tmp_path / "out/trace.png").stat().st_size > 5000
