"""CITATION.cff has what the Citation File Format asks for, and says of the package what the package says of itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import ferrojax

ROOT = Path(__file__).parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["cff-version", "message", "title", "authors"])
def test_required_fields_are_there(name):
    assert CITATION[name]


def test_licence_and_version_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert CITATION["license"] == project["license"]
    assert CITATION["version"] == ferrojax.__version__


@pytest.mark.parametrize("entry", CITATION["references"], ids=lambda entry: entry["title"][:30])
def test_a_reference_names_authors_year_and_doi(entry):
    assert entry["type"] == "article" and 1900 < entry["year"] < 2100
    assert all({"family-names", "given-names"} == set(author) for author in entry["authors"]) and entry["authors"]
    assert re.fullmatch(r"10\.\d{4,}/\S+", entry["doi"])
    assert set(entry) <= {"type", "title", "notes", "authors", "journal", "volume", "start", "year", "doi"}


def test_no_reference_stands_twice():
    found = [entry["doi"] for entry in CITATION["references"]]
    assert len(found) == len(set(found))
