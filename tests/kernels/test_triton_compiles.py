"""Every Triton kernel, as it is launched, compiles for sm_90: nothing spilled, tensor cores used, tables on the chip.

No GPU is needed: triton brings its own ptxas and cuobjdump.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed; it is made for Linux alone")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("TRITON_INTERPRET=1 leaves nothing to compile", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from harness.kernels import fused_chunk, fused_kernels, fused_vandermonde  # noqa: E402

SHARED_BYTES = 227 * 1024
"""What a program may have on sm_90."""
STEPS = 32
PRECISIONS = ("tf32x3", "ieee", "tf32")
DIVISIBLE = ("length", "n", "chunks")
"""Of the whole numbers, those that sixteen divides in the shapes that matter, as triton specialises them."""
OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")


def compiled(kernel: Any, pointers: set[str], constants: Mapping[str, Any]) -> Any:
    """`kernel` with float32 pointers, 32-bit whole numbers and `constants`, which hold the launch options too."""
    options = {name: constants[name] for name in OPTIONS}
    fixed = {name: value for name, value in constants.items() if name not in OPTIONS}
    signature = {
        name: "constexpr" if name in fixed else "*fp32" if name in pointers else "i32" for name in kernel.arg_names
    }
    sixteen = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(kernel.arg_names)
        if name in pointers or name in DIVISIBLE
    }
    source = ASTSource(kernel, signature, fixed, sixteen)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def check(binary: Any, tensor_cores: bool, folder: Path) -> None:
    """Raise AssertionError when local memory is used, shared memory exceeded, or tensor cores are not as expected."""
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(binary.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"

    def dumped(flag: str) -> str:
        return subprocess.run([tool, flag, cubin], capture_output=True, text=True, check=True).stdout

    stack, local = (int(found) for found in re.findall(r"(?:STACK|LOCAL):(\d+)", dumped("-res-usage")))
    code = dumped("-sass")
    assert (stack, local) == (0, 0), f"{stack} bytes of stack and {local} of local memory"
    assert not re.search(r"\b(LDL|STL)\b", code)
    assert binary.metadata.shared <= SHARED_BYTES
    assert bool(re.search(r"\s(HMMA|HGMMA)\.", code)) == tensor_cores


def swept(Q: int, S: int, dense: bool, precision: Any, **flags: bool) -> Any:
    constants = fused_chunk.sweep_variant(Q, S, dense, precision) | {"STEPS": STEPS} | flags
    return compiled(fused_kernels.sweep, {"u", "T", "E", "O", "A1", "A2", "x0", "y", "states", "last"}, constants)


FORWARD = {"REVERSE": False, "TOEPLITZ": True, "OUTPUT": True, "STATES": True}
SWEEPS = {
    "forward": FORWARD,
    "inference": FORWARD | {"STATES": False},
    "backward": FORWARD | {"REVERSE": True},
    "more": FORWARD | {"TOEPLITZ": False},
    "ends": {"REVERSE": False, "TOEPLITZ": False, "OUTPUT": False, "STATES": False},
    "segments": {"REVERSE": False, "TOEPLITZ": False, "OUTPUT": False, "STATES": True},
}


def quick(*given: Any) -> Any:
    """A long test, unless it is of the default precision and a state of 64."""
    default = given[-1] == "tf32x3" and 32 not in given and not {"inference", "more", "ends"} & set(map(str, given))
    return pytest.param(*given, marks=[] if default else [pytest.mark.long])


@pytest.mark.parametrize(
    ("dense", "sweep", "S", "precision"),
    [
        quick(dense, sweep, S, precision)
        for dense in (False, True)
        for sweep in SWEEPS
        for S in (64, 32)
        for precision in PRECISIONS
        if (sweep, dense) != ("more", True) and (sweep != "segments" or precision == "ieee")
    ],
)
def test_a_sweep_spills_nothing(dense: bool, sweep: str, S: int, precision: Any, tmp_path: Path) -> None:
    # The sweep over segments has chunks as long as the state, and the identity for its table.
    Q = S if sweep == "segments" else fused_chunk.chunk_steps(dense, precision)
    binary = swept(Q, S, dense, precision, **SWEEPS[sweep])
    # The rest of a dense A is multiplied on tensor cores in every precision.
    check(binary, precision != "ieee" or dense, tmp_path)


@pytest.mark.parametrize(
    ("S", "first", "precision"),
    [quick(S, first, precision) for S in (64, 32) for first in (0, 1) for precision in PRECISIONS],
)
def test_the_products_of_the_gradients_spill_nothing(S: int, first: int, precision: Any, tmp_path: Path) -> None:
    constants = fused_chunk.gram_variant(64, S, precision) | {"STEPS": STEPS, "FIRST": first}
    binary = compiled(fused_kernels.gram, {"u", "x", "g", "p", "out"}, constants)
    check(binary, precision != "ieee", tmp_path)


@pytest.mark.parametrize(
    ("direction", "n", "precision"),
    [
        pytest.param(direction, n, precision, marks=[] if (n, precision) == (32, "tf32x3") else [pytest.mark.long])
        for direction in ("expand", "contract")
        for n in (2, 32, 128)
        for precision in PRECISIONS
    ],
)
def test_generation_spills_nothing(direction: str, n: int, precision: str, tmp_path: Path) -> None:
    constants = getattr(fused_vandermonde, f"{direction}_variant")(n, precision)
    kernel = getattr(fused_vandermonde, direction)
    check(compiled(kernel, {"first", "anchors", "out", "G", "sums"}, constants), precision != "ieee", tmp_path)
