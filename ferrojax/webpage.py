"""Reports as one HTML file that needs no other: its style, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { font-weight: normal; } h1 { font-size: 1.9rem; } h2 { font-size: 1.3rem; margin-top: 2rem; }
img { width: 100%; } table { border-collapse: collapse; margin: .6rem 0; border-bottom: 1px solid; }
td, th { padding: .12rem .9rem .12rem 0; text-align: right; font-weight: normal; font-variant-numeric: tabular-nums; }
th { border-top: 1px solid; border-bottom: 1px solid; } td:first-child, th:first-child { text-align: left; }
.warning { background: #fdecea; border-left: .3rem solid #d55e00; padding: .5rem 1rem; } .small { color: #555; font-size: .9rem; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """The whole file; ``parts`` are HTML."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def warning(text: str) -> str:
    """A box that cannot be missed."""
    return f'<p class="warning"><b>Warning.</b> {escape(text)}</p>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are text, not HTML; the first column is flush left."""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + f"</tr>\n{lines}</table>"


def image(path: Path, text: str) -> str:
    """A PNG, held in the page itself; ``text`` says what it shows."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'
