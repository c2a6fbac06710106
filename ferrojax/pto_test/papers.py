"""The published 0 K table of the PTO-test, and what became of those models on heating."""

from __future__ import annotations

# name, a (Å), c (Å), c/a, E(cubic) - E(tetragonal) (eV/f.u.); None where the paper gives no number.
ZERO_KELVIN: tuple[tuple[str, float, float, float, float | None], ...] = (
    ("CHGNet 0.3.0", 3.80, 5.01, 1.32, 0.24),
    ("GPTFF v2", 3.79, 4.88, 1.29, 0.25),
    ("M3GNet", 3.80, 4.92, 1.30, 0.16),
    ("MACE-MP-0b", 3.84, 4.83, 1.26, 0.19),
    ("ORB v2", 3.83, 4.87, 1.27, 0.21),
    ("SevenNet l3i5", 3.84, 4.79, 1.25, 0.21),
    ("MACE-FT", 3.89, 4.16, 1.07, 0.08),
    ("UniPero", 3.88, 4.21, 1.08, 0.09),
    ("LDA", 3.86, 4.04, 1.05, None),
    ("PBE", 3.85, 4.73, 1.23, 0.20),
    ("PBEsol", 3.87, 4.20, 1.08, 0.08),
    ("experiment, 300 K", 3.90, 4.15, 1.06, None),
)
HEATED: tuple[tuple[str, str], ...] = (
    ("CHGNet, M3GNet, MACE-MP-0b, SevenNet", "melt or collapse at constant stress"),
    ("ORB v2", "tetragonal to cubic near 1100 K, then tetragonal again"),
    ("GPTFF v2", "supertetragonal to cubic"),
    ("MACE-FT, UniPero", "tetragonal to cubic near 600 K, 160 K below experiment (760 K)"),
)
