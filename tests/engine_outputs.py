"""Outputs of programs, cut down by hand to what is read, for five atoms or two, with numbers that are easy to tell apart."""

from __future__ import annotations

VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="program" type="string">vasp </i><i name="version" type="string">6.4.2  </i></generator>
 <kpoints><varray name="kpointlist"><v>0.0 0.0 0.0</v></varray><varray name="weights"><v>1.0</v></varray></kpoints>
 <parameters><separator name="electronic"><i type="int" name="NELM">    60</i></separator></parameters>
 <atominfo>
  <array name="atoms"><set><rc><c>O </c><c>1</c></rc><rc><c>O </c><c>1</c></rc><rc><c>Mg</c><c>2</c></rc></set></array>
 </atominfo>
 <structure name="initialpos">
  <crystal><varray name="basis"><v>4.0 0.0 0.0</v><v>0.0 4.0 0.0</v><v>0.0 0.0 5.0</v></varray></crystal>
  <varray name="positions"><v>0.0 0.0 0.0</v><v>0.5 0.5 0.5</v><v>0.5 0.5 0.0</v></varray>
 </structure>
 <calculation>
  <scstep><energy><i name="e_fr_energy">-11.0</i><i name="e_wo_entrp">-11.0</i><i name="e_0_energy">-11.0</i></energy></scstep>
  <scstep><energy><i name="e_fr_energy">-12.5</i><i name="e_wo_entrp">-12.5</i><i name="e_0_energy">-12.25</i></energy></scstep>
  <structure>
   <crystal><varray name="basis"><v>4.0 0.0 0.0</v><v>0.0 4.0 0.0</v><v>0.0 0.0 5.0</v></varray></crystal>
   <varray name="positions"><v>0.0 0.0 0.0</v><v>0.5 0.5 0.5</v><v>0.5 0.5 0.0</v></varray>
  </structure>
  <varray name="forces"><v>0.1 0.2 0.3</v><v>0.4 0.5 0.6</v><v>-0.5 -0.7 -0.9</v></varray>
  <varray name="stress"><v>10.0 1.0 2.0</v><v>1.0 20.0 3.0</v><v>2.0 3.0 30.0</v></varray>
  <energy><i name="e_fr_energy">-12.5</i><i name="e_wo_entrp">-12.5</i><i name="e_0_energy">-12.25</i></energy>
  <array name="born_charges"><dimension dim="1">ion</dimension>
   <set><v>-1.1 -1.2 -1.3</v><v>-1.4 -1.5 -1.6</v><v>-1.7 -1.8 -1.9</v></set>
   <set><v>-2.1 -2.2 -2.3</v><v>-2.4 -2.5 -2.6</v><v>-2.7 -2.8 -2.9</v></set>
   <set><v>3.1 3.2 3.3</v><v>3.4 3.5 3.6</v><v>3.7 3.8 3.9</v></set>
  </array>
  <varray name="dielectric_dft"><v>6.0 0.1 0.0</v><v>0.1 7.0 0.0</v><v>0.0 0.0 8.0</v></varray>
 </calculation>
</modeling>
"""

ABINIT = """
.Version 9.6.2 of ABINIT
-outvars: echo values of preprocessed input variables --------
            natom           2
           ntypat           2
             nkpt           1
            rprim      7.5589045373E+00  0.0000000000E+00  0.0000000000E+00
                       0.0000000000E+00  7.5589045373E+00  0.0000000000E+00
                       0.0000000000E+00  0.0000000000E+00  7.5589045373E+00
            typat      1  2
            znucl       12.00000    8.00000
================================================================================
 iter   Etot(hartree)      deltaE(h)  residm     vres2    diffor    maxfor
 ETOT  1  -10.0         -1.0E+01 1.0E-03 1.0E+00 1.0E-01 1.0E-01
 ETOT  2  -10.5         -5.0E-01 1.0E-09 1.0E-09 1.0E-09 1.0E-01
 ----iterations are completed or convergence reached----
 Cartesian components of stress tensor (hartree/bohr^3)
  sigma(1 1)=  1.00000000E-04  sigma(3 2)=  4.00000000E-05
  sigma(2 2)=  2.00000000E-04  sigma(3 1)=  5.00000000E-05
  sigma(3 3)=  3.00000000E-04  sigma(2 1)=  6.00000000E-05
 cartesian coordinates (angstrom) at end:
    1      0.00000000000000     0.00000000000000     0.00000000000000
    2      2.00000000000000     2.00000000000000     2.00000000000000
 cartesian forces (eV/Angstrom) at end:
    1      0.10000000000000     0.20000000000000     0.30000000000000
    2     -0.10000000000000    -0.20000000000000    -0.30000000000000
--- !EnergyTerms
total_energy_eV     :  -2.85721E+02
...
== END DATASET(S) ==============================================================
 Calculation completed.
"""

PHONON = """
     Program PHONON v.6.7MaX starts on 22Nov2026 at  7:23:52

          Dielectric constant in cartesian axis

          (       6.000000000       0.100000000       0.000000000 )
          (       0.100000000       7.000000000       0.000000000 )
          (       0.000000000       0.000000000       8.000000000 )

          Effective charges (d Force / dE) in cartesian axis

           atom      1   Mg Mean Z*:     2.00000
      Ex  (        1.10000        1.20000        1.30000 )
      Ey  (        1.40000        1.50000        1.60000 )
      Ez  (        1.70000        1.80000        1.90000 )
           atom      2   O  Mean Z*:    -2.00000
      Ex  (       -2.10000       -2.20000       -2.30000 )
      Ey  (       -2.40000       -2.50000       -2.60000 )
      Ez  (       -2.70000       -2.80000       -2.90000 )

   JOB DONE.
"""

DYNAMICAL = """Dynamical matrix file

     Dynamical  Matrix in cartesian axes

     q = (    0.000000000   0.000000000   0.000000000 )

    1    1
  0.11000000   0.00000000     0.12000000   0.00000000     0.13000000   0.00000000
  0.12000000   0.00000000     0.22000000   0.00000000     0.23000000   0.00000000
  0.13000000   0.00000000     0.23000000   0.00000000     0.33000000   0.00000000
    1    2
 -0.11000000   0.00000000    -0.12000000   0.00000000    -0.13000000   0.00000000
 -0.12000000   0.00000000    -0.22000000   0.00000000    -0.24000000   0.00000000
 -0.13000000   0.00000000    -0.23000000   0.00000000    -0.33000000   0.00000000
    2    1
 -0.11000000   0.00000000    -0.12000000   0.00000000    -0.13000000   0.00000000
 -0.12000000   0.00000000    -0.22000000   0.00000000    -0.23000000   0.00000000
 -0.13000000   0.00000000    -0.24000000   0.00000000    -0.33000000   0.00000000
    2    2
  0.11000000   0.00000000     0.12000000   0.00000000     0.13000000   0.00000000
  0.12000000   0.00000000     0.22000000   0.00000000     0.23000000   0.00000000
  0.13000000   0.00000000     0.23000000   0.00000000     0.33000000   0.00000000

     Dielectric Tensor:
"""

PWSCF = """
     Program PWSCF v.6.7MaX starts on 22Nov2026 at  7:23:52

     bravais-lattice index     =            0
     lattice parameter (alat)  =       7.5589  a.u.
     unit-cell volume          =     431.8929 (a.u.)^3
     number of atoms/cell      =            2
     number of atomic types    =            2

     celldm(1)=   7.558905  celldm(2)=   0.000000  celldm(3)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Mg  tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           O   tau(   2) = (   0.5000000   0.5000000   0.5250000  )

     iteration #  1     ecut=    60.00 Ry     beta= 0.70
     iteration #  2     ecut=    60.00 Ry     beta= 0.70

!    total energy              =     -20.50000000 Ry

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.01000000    0.02000000    0.03000000
     atom    2 type  2   force =    -0.01000000   -0.02000000   -0.03000000

     Total force =     0.052915     Total SCF correction =     0.000001

     Computing stress (Cartesian axis) and pressure

          total   stress  (Ry/bohr**3)                   (kbar)     P=       29.42
   0.00010000   0.00006000   0.00005000           14.71        8.83        7.36
   0.00006000   0.00020000   0.00004000            8.83       29.42        5.88
   0.00005000   0.00004000   0.00030000            7.36        5.88       44.13

   JOB DONE.
"""
