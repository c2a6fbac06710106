"""What the documentation shows runs, and says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from random_model import random_model

import ferrojax

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Pages that need a crystal which is stable.
TRAINED = ("docs/tutorial.md", "docs/phonons.md", "docs/pto-test.md", "docs/active-learning.md")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("docs/tutorial.md", marks=pytest.mark.slow),  # a barrier by a trained potential
        pytest.param("docs/python-api.md", marks=pytest.mark.slow),  # compiles every response
        pytest.param("docs/effective-hamiltonian.md", marks=pytest.mark.slow),  # compiles every sampler
        pytest.param("docs/design.md", marks=pytest.mark.slow),  # an optimisation
        pytest.param("docs/md.md", marks=pytest.mark.slow),  # runs several ensembles
        pytest.param("docs/decomposition.md", marks=pytest.mark.slow),  # compiles whole trajectories: minutes
        pytest.param("docs/clusters.md", marks=pytest.mark.slow),  # compiles whole trajectories: minutes
        pytest.param("docs/differentiating-dynamics.md", marks=pytest.mark.slow),  # compiles whole trajectories: minutes
        pytest.param("docs/phonons.md", marks=pytest.mark.slow),  # a trained potential, third derivatives
        pytest.param("docs/response.md", marks=pytest.mark.slow),  # compiles derivatives of derivatives
        pytest.param("docs/active-learning.md", marks=pytest.mark.slow),  # dynamics and a last layer
        "docs/analysis.md",
        pytest.param("docs/pto-test.md", marks=pytest.mark.slow),  # phonons of a trained potential
        pytest.param("docs/training.md", marks=pytest.mark.slow),  # compiles every response of a teacher
        "docs/labelling.md",
        "docs/structures.md",
        "docs/plotting.md",
        "docs/models.md",
        "README.md",
    ],
)
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    if page not in TRAINED:  # a folder goes before a model of the package
        model, params = random_model("fast")
        references = {"pbtio3-v1": {"Pb": 0.0, "Ti": 0.0, "O": 0.0}}
        ferrojax.save_model(tmp_path / "pbtio3-v1", model, params, {"reference_energies": references})
    monkeypatch.chdir(tmp_path)
    found = blocks(ROOT / page, "python")
    assert found
    namespace: dict = {}
    for block in found:
        exec(compile(block, page, "exec"), namespace)


def test_training_page_shows_the_defaults():
    from ferrojax.training.config import TrainConfig

    text, *pieces = blocks(DOCS / "training.md", "yaml")
    shown = yaml.safe_load(text)
    understood = TrainConfig.model_validate(shown)
    minimal = TrainConfig.model_validate({"data": [{"path": "x"}], "stop": {"minutes": 30}, "output": {"folder": "y"}})
    for section in ("model", "loss", "optimizer", "stop"):
        assert getattr(understood, section) == getattr(minimal, section), section
    assert understood.output.model_copy(update={"folder": "y"}) == minimal.output
    example = understood.data[0].model_copy(update={"path": "x", "dataset": None, "elements": None})
    assert example == minimal.data[0]
    assert (understood.seed, understood.devices, understood.max_buckets) == (minimal.seed, minimal.devices, minimal.max_buckets)
    assert set(shown) == set(TrainConfig.model_fields)
    for piece in pieces:
        TrainConfig.model_validate({"stop": {"minutes": 30}, "output": {"folder": "y"}} | yaml.safe_load(piece))


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_named_in_the_docs_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M))
        assert named <= targets, f"{page.name}: {named - targets}"
