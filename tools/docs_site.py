"""What the documentation site takes from outside docs/: notebooks, experiments with their figures, tests, changelog, pages of the API."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Below experiments/ what its pages show or name, below ferrojax/ the cards; tests, scripts and configurations are linked as plain files.
EXPERIMENTS = tuple(f"experiments/**/*.{kind}" for kind in ("md", "png", "yaml", "html", "py")) + ("experiments/*/*/summary.json",)
TAKEN = ("CHANGELOG.md", "CITATION.cff", *EXPERIMENTS, "tests/*.py", "ferrojax/*/*/README.md")
MODULES = {
    "Core": ("ferrojax", "ferrojax.enthalpy", "ferrojax.state", "ferrojax.topology", "ferrojax.calculator", "ferrojax.units"),
    "Packages": tuple(f"ferrojax.{path.parent.name}" for path in sorted((ROOT / "ferrojax").glob("*/__init__.py"))),
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The entries of the navigation that are folders become lists of their pages."""
    experiments = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("experiments/**/README.md"))
    found = {"notebooks/": list(notebook_pages()), "experiments/": experiments, "api/": list(api_pages())}
    for entry in config.nav or []:
        for title, target in list(entry.items()):
            if isinstance(target, str) and target in found:
                entry[title] = found[target]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside and the generated pages."""
    for pattern in TAKEN:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    for name, text in (api_pages() | notebook_pages()).items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links of docs/ to the folders beside it point to where those lie on the site; of the others, to docs/, the other way round."""
    if "/" not in page.file.src_uri:
        markdown = re.sub(r"\]\(\.\./(experiments|tests|ferrojax|notebooks)/", r"](\1/", markdown)
        markdown = re.sub(r"(\]\(notebooks/[^)]*)\.ipynb\)", r"\1.md)", markdown)
    return re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", markdown)


def notebook_pages() -> dict[str, str]:
    """A page for each notebook."""
    return {f"notebooks/{path.stem}.md": notebook_page(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def notebook_page(path: Path) -> str:
    """Text, code and what the code printed and drew; pages run no scripts, so structures to turn are left out."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [text for output in cell.get("outputs", []) if (text := output_text(output))]
    return "\n\n".join(parts) + "\n"


def output_text(output: dict) -> str:
    """One output of a cell in Markdown, empty for one that needs scripts."""
    data = output.get("data", {})
    if "image/png" in data:
        image = "".join(data["image/png"]).replace("\n", "")
        return f"![Figure drawn by the code above](data:image/png;base64,{image})"
    printed = "".join(output.get("text", [] if "text/html" in data else data.get("text/plain", [])))
    return f"```text\n{printed.rstrip()}\n```" if printed else ""


def api_pages() -> dict[str, str]:
    """A page for each module, of its public names and those of the modules below it."""
    return {f"api/{name}.md": page(name) for names in MODULES.values() for name in names}


def page(name: str) -> str:
    """``name`` and its modules: what has a docstring, without the commands of the terminal."""
    folder = ROOT / name.replace(".", "/")
    below = sorted(p for p in folder.rglob("*.py") if p.stem not in ("__init__", "command")) if name.count(".") and folder.is_dir() else []
    names = [name, *(".".join(p.relative_to(ROOT).with_suffix("").parts) for p in below)]
    return f"# {name}\n\n" + "\n\n".join(f"::: {each}\n    options:\n      heading_level: 2" for each in names) + "\n"
