"""Units and constants: eV, Å, e, amu, K; fs in the public API.

Derived units follow: field V/Å, stress and pressure eV/Å³, polarization e/Å²,
dipole e·Å, polarizability e·Å²/V, flexoelectric coefficient e/Å. The value of each constant is CODATA 2018,
the one ASE and phonopy use to the digits given here.
"""

import math

COULOMB = 14.399645478  # e²/(4π ε0), eV·Å
EPSILON_0 = 1.0 / (4.0 * math.pi * COULOMB)  # vacuum permittivity, e²/(eV·Å)
BOLTZMANN = 8.617333262e-5  # eV/K
GPA = 1.0 / 160.21766208  # eV/Å³ in one GPa
E_PER_A2 = 16.02176634  # C/m² in one e/Å²
MILLIJOULE = 1e3 * E_PER_A2  # mJ/m² in one eV/Å²: 1 eV/Å² is 16.02 J/m²
E_PER_A = 1.602176634  # nC/m in one e/Å
KV_PER_CM = 1e-5  # V/Å in one kV/cm
# One femtosecond in the time unit that goes with eV, Å and amu: Å·sqrt(amu/eV).
FEMTOSECOND = 0.09822694788464063
# Frequency, THz, of the stiffness 1 eV/Å² with the mass 1 amu: √(eV/Å²/amu)/2π.
THZ = 1e3 * FEMTOSECOND / (2.0 * math.pi)
PER_CM = 33.35641  # 1/cm in one THz
