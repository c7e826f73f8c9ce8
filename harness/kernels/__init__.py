"""Kernel backends: name to class. One interface (`backend.py`), one file each, torch only when run."""

from harness.registry import Table

KERNELS: Table = {
    "auto": "harness.kernels.auto:Auto",
    "reference": "harness.kernels.reference:Reference",
    "krylov": "harness.kernels.krylov:Krylov",
    "two_level": "harness.kernels.two_level:TwoLevel",
    "cauchy": "harness.kernels.cauchy:Cauchy",
    "compiled": "harness.kernels.compiled:Compiled",
    "keops": "harness.kernels.keops:KeOps",
    "s4_cuda": "harness.kernels.s4_cuda:S4Cuda",
    "triton": "harness.kernels.triton_backend:Triton",
}
