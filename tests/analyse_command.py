"""`ferrojax analyse` as the tests call it."""

from ferrojax import cli

BORN = ("--born", "Pb=3.90", "Ti=7.06", "O=-5.84,-2.56")
SITES = ("--a", "Pb", "--b", "Ti")


def analyse(folder, name, *options):
    """Exit status of the command on a trajectory in a folder whose first frame is the reference."""
    out = ("--out", str(folder / f"out-{name}"))
    return cli.main(["analyse", str(folder / name), "--reference", str(folder / "start.traj"), *SITES, *out, *map(str, options)])
