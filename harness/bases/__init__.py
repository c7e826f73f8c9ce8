"""HiPPO bases: name to class. One file each, NumPy float64 only."""

from harness.registry import Table

BASES: Table = {
    "legs": "harness.bases.legs:LegS",
    "legt": "harness.bases.legt:LegT",
    "fout": "harness.bases.fout:FouT",
    "lagt": "harness.bases.lagt:LagT",
    "s4d-legs": "harness.bases.s4d_legs:S4DLegS",
    "s4d-inv": "harness.bases.s4d_inv:S4DInv",
    "s4d-lin": "harness.bases.s4d_lin:S4DLin",
    "s4d-real": "harness.bases.s4d_real:S4DReal",
    "random": "harness.bases.random:Random",
    "legs+fout": "harness.bases.legs_fout:LegSFouT",
}
