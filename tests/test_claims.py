"""The claims register is complete and true to its rules, and the pages made from it are current."""

from __future__ import annotations

import json

import claims
import pytest

MEASURED = {
    "id": "A-some-number",
    "statement": "A number that was measured once",
    "value": 3e-9,
    "unit": "eV",
    "target": "<= 1e-8",
    "met": True,
    "command": "python -m pytest tests/test_claims.py",
    "device": "a computer",
    "versions": {"jax": "0.10.1"},
    "commit": "abc1234",
}


def test_register_and_pages_are_consistent():
    claims.check()


def test_every_number_of_the_core_has_an_entry():
    register = claims.load()
    for words in (
        "forces",
        "stress",
        "madelung",
        "jax-pme",
        "sum-rule",
        "toy-chain",
        "rotation",
        "wrapping",
        "supercell",
        "quickstart-time",
    ):
        assert any(words in name for name in register), words


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Write entries to a register of its own and load it."""

    def write(*entries):
        path = tmp_path / "claims.json"
        path.write_text(json.dumps(entries))
        monkeypatch.setattr(claims, "CLAIMS", path)
        return claims.load()

    return write


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"command": ""}, "command"),
        ({"id": "a-lower"}, "id"),
        ({"id": "A-Upper"}, "id"),
        ({"met": False}, "met is False"),
        ({"target": "stated", "met": False}, "met is False"),
        ({"value": 2e-8}, "met is True"),
        ({"value": None}, "without a value"),
        ({"versions": {}}, "versions"),
        ({"device": None}, "device"),
        ({"commit": None}, "commit"),
        ({"surprise": 1}, "surprise"),
        ({"note": "not measured yet"}, "not measured"),
    ],
)
def test_bad_entries_are_refused(register, change, words):
    with pytest.raises(ValueError, match=words):
        register(MEASURED | change)


def test_ids_are_unique(register):
    with pytest.raises(ValueError, match="twice"):
        register(MEASURED, MEASURED)


def test_good_and_unmeasured_entries_pass(register):
    unmeasured = MEASURED | {"id": "A-other", "value": None, "met": False, "note": "not measured yet", "device": None, "commit": None}
    assert set(register(MEASURED, unmeasured)) == {"A-some-number", "A-other"}


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [(27, "<= 27", True), (27.1, "<= 27", False), (27, "< 27", False), (3, ">= 2e0", True), (-1, "> -2", True), (7, "stated", True)],
)
def test_targets_are_compared(value, target, met):
    assert claims.meets(value, target) is met


def test_setting_a_value_stamps_it(register):
    entries = register(MEASURED)
    claims.update(entries, "A-some-number", value=1.0)
    entry = entries["A-some-number"]
    assert not entry.met and entry.commit != "abc1234" and {"jax", "python", "ferrojax"} <= set(entry.versions)


def test_status_is_validated_only_when_every_claim_is_met(register):
    entries = register(MEASURED, MEASURED | {"id": "A-missed", "value": 1.0, "met": False})
    features = [
        claims.Feature(feature=name, where="x", tests=["tests"], claims=ids, experimental=name == "new")
        for name, ids in (("good", ["A-some-number"]), ("partly", ["A-some-number", "A-missed"]), ("plain", []), ("new", ["A-some-number"]))
    ]
    rows = claims.feature_table(entries, features).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["validated", "works", "works", "experimental"]


def test_a_stale_page_is_noticed(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("old")
    monkeypatch.setattr(claims, "ROOT", tmp_path)
    monkeypatch.setattr(claims, "load_features", lambda register: [])
    monkeypatch.setattr(claims, "pages", lambda register, features: {page: "new"})
    monkeypatch.setattr(claims, "load", dict)
    with pytest.raises(ValueError, match="page.md out of date"):
        claims.check()


def test_a_feature_without_its_test_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "features.json"
    path.write_text(json.dumps([{"feature": "f", "where": "x", "tests": ["tests/test_nowhere.py"]}]))
    monkeypatch.setattr(claims, "FEATURES", path)
    with pytest.raises(ValueError, match="tests/test_nowhere.py"):
        claims.load_features({})
