"""What a basis is: the state space x' = Ax + Bu whose kernels e^{tA}B are the functions it remembers with.

Legend: N state size, R rank of the correction, T number of times, t lag (how long ago); all arrays NumPy
float64 / complex128.

Timescale convention (Gu et al. 2022, "How to Train Your HiPPO"; their code halves LegT and FouT for it):
E[measure] = 1, so LegS has measure e^-t and the windowed bases live on [0, 2]; at step dt a window is 2/dt samples.

What a basis offers is said twice, by its class and by `structures`; code that needs one form asks for the structure
first ("diagonal" -> `spectrum`, "dplr" -> `normal_form`, "dense" -> `matrices`): FouT and random have all three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError, unknown

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


class Basis(ABC):
    """One initialisation. Which of the three forms it has is said by `structures`."""

    version: ClassVar[int] = 1
    structures: ClassVar[tuple[str, ...]]
    """Of "dplr", "dense", "diagonal": the parameterisations it can initialise."""
    diagonalisable: ClassVar[bool] = False
    """Whether its A has well-conditioned eigenvectors, so that the dplr form can be computed with as a diagonal one."""
    required_rank: ClassVar[int] = 0
    """Rank of P in the DPLR form; 0 where there is none."""


class MatrixBasis(Basis):
    """A basis given by real matrices, with a normal-plus-low-rank form."""

    structures: ClassVar[tuple[str, ...]] = ("dplr", "dense")

    @abstractmethod
    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,) of x' = Ax + Bu. Raises UsageError for a state size it cannot have."""

    @abstractmethod
    def low_rank(self, n: int) -> Real:
        """P (R, N) such that A + sum_r P_r P_r^T is a multiple of the identity plus a skew matrix."""


class DefinedBasis(MatrixBasis):
    """Matrices that follow from a definition: functions p_n orthonormal under a measure of the past.

    x_n(t) = integral of u(t - s) p_n(s) omega(s) ds, so the kernel (e^{tA}B)_n is K_n(t) = p_n(t) omega(t),
    exactly where `exact` is true and in the limit of large N elsewhere.
    """

    exact: ClassVar[bool]
    """Whether e^{tA}B = K(t) at every finite N (LegS, LagT) or only in the limit (LegT, FouT)."""

    @property
    @abstractmethod
    def support(self) -> float:
        """The lag after which the measure is zero; infinity where it never is."""

    @property
    @abstractmethod
    def timescale(self) -> float:
        """E[measure], the mean lag; infinity where the measure cannot be normalised."""

    @abstractmethod
    def measure(self, t: Real) -> Real:
        """The weight omega(t) >= 0 at lag t (T,), zero outside its support."""

    @abstractmethod
    def functions(self, n: int, t: Real) -> Real:
        """The ideal kernels K_n(t) = p_n(t) omega(t), (N, T), zero outside the support."""


class DiagonalBasis(Basis):
    """A basis with eigenvalues: N/2 of them, each standing for a conjugate pair."""

    structures: ClassVar[tuple[str, ...]] = ("diagonal",)

    @abstractmethod
    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) with Re < 0 and Im >= 0, and inputs B (N/2,); kernels are 2 Re(C B e^{At})."""


class MixtureBasis(Basis):
    """Several bases side by side: the heads of a layer are dealt among the parts in equal blocks."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Basis, ...]:
        """The parts, first block of heads first."""


def check_state_size(n: int, *, even: bool = False) -> None:
    """Raise UsageError unless n is a positive integer, and even where states come in conjugate pairs."""
    if n < 1:
        raise UsageError(f"The state size is {n}. Give a positive integer.")
    if even and n % 2:
        raise UsageError(f"The state size is {n}, but the states come in pairs here. Give an even number.")


def check_window(window: float) -> None:
    """Raise UsageError unless the window is a positive, finite length."""
    if not 0 < window < float("inf"):
        raise UsageError(f"The window is {window}. Give a positive length; 2.0 is the convention.")


def check_option(kind: str, value: str, choices: Iterable[str]) -> None:
    """Raise UsageError naming the nearest choice unless `value` is one."""
    if value not in (known := tuple(choices)):
        raise unknown(kind, value, known)
