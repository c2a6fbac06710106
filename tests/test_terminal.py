"""What is printed can be searched: no line is broken, no bracket lost."""

from __future__ import annotations

from ferrojax.terminal import terminal


def test_lines_stay_whole_and_brackets_are_text(capsys):
    line = "written to [runs]/a " + 40 * "long name "
    terminal().print(line)
    assert capsys.readouterr().out == line + "\n"
