"""The parameters of the deep state space model. Torch-free; `harness.ssm.model` builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

from harness.bases.basis import Basis, MixtureBasis, check_option
from harness.errors import UsageError
from harness.kernels.backend import Request
from harness.ssm.timescale import LogUniform


def parts(basis: Basis) -> tuple[Basis, ...]:
    """The bases that the copies of a layer are dealt among: a mixture's parts, else the basis itself."""
    return basis.parts if isinstance(basis, MixtureBasis) else (basis,)


@dataclass(frozen=True)
class S4:
    """Encoder, a stack of S4/S4D blocks, pooling and a linear head (Gu et al. 2022)."""

    version: ClassVar[int] = 1

    d_model: int = 64
    """H, features (heads) of every layer."""
    d_state: int = 64
    """N, real state size of every head; n = N/2 conjugate pairs."""
    n_layers: int = 4
    structure: Literal["dplr", "diagonal", "dense"] = "dplr"
    discretization: Literal["default", "zoh", "bilinear"] = "default"
    """`default` is written out as bilinear for dplr and dense, zoh for diagonal, as in the official code."""
    application: Literal["auto", "fft", "chunked"] = "auto"
    """How kernels meet sequences: `fft` of the whole, `chunked` with the state passed on, or the faster of the two."""
    n_ssm: int | None = None
    """Independent copies of (A, B, P), each shared by d_model / n_ssm heads; None is written out as d_model."""
    rank: int | None = None
    """Rank R of P; None is what the basis requires, more is padded with zeros; unused without P."""
    b_clip: float | None = None
    """Clamp of the entries of B in the eigenbasis; the official code clamps at 2.0 since v4, the papers did not."""
    b_clip_part: Literal["modulus", "imag"] = "modulus"
    """`modulus` does not depend on the eigenvectors' phase; `imag` is the official code's clamp, for dplr only."""
    real_floor: float | None = None
    """Least -Re(Lambda) at the start; the official code has 1e-4, at v3 1e-3, which damps LegT, FouT and LagT."""
    train_A: bool = True
    """A and, for dplr, P."""
    train_B: bool = True
    train_C: bool = True
    train_dt: bool = True
    bidirectional: bool = False
    activation: Literal["gelu", "none"] = "gelu"
    glu: bool = True
    """After the convolution: linear H -> 2H and GLU, else linear H -> H."""
    norm: Literal["batch", "layer", "none"] = "layer"
    norm_over_padding: bool = False
    """Batch statistics over padded positions too, as in the official code: a result then depends on the padding."""
    prenorm: bool = True
    residual: bool = True
    skip: bool = True
    """The feed-through D u."""
    dropout: float = 0.0
    """After the activation, and after the linear layer."""
    tie_dropout: bool = False
    """One mask for the whole of a sequence, as in the official recipes, instead of one for each position."""
    dropout_convolution: float = 0.0
    """Between the convolution and the activation, one mask for each position: the official code has it since v4."""
    pool: Literal["mean", "last"] = "mean"
    """Over the true length of each sequence; unused where a task answers at every position."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal:
                check_option(f"model.{name}", getattr(self, name), get_args(kind))
        for name in ("d_model", "d_state", "n_layers"):
            if getattr(self, name) < 1:
                raise UsageError(f"model.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.d_state % 2:
            raise UsageError(
                f"model.d_state is {self.d_state}; it must be even, because states come in conjugate pairs."
            )
        for name in ("dropout", "dropout_convolution"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(f"model.{name} is {getattr(self, name)}; it must be at least 0 and below 1.")
        if self.n_ssm is None:
            object.__setattr__(self, "n_ssm", self.d_model)
        if self.copies < 1 or self.d_model % self.copies:
            raise UsageError(f"model.n_ssm is {self.n_ssm}; it must divide model.d_model, which is {self.d_model}.")
        if self.rank is not None and self.rank < 1:
            raise UsageError(
                f"model.rank is {self.rank}; it must be at least 1 (leave it out for what the basis needs)."
            )
        if self.real_floor is not None and (self.real_floor <= 0 or self.structure == "dense"):
            raise UsageError(
                f"model.real_floor is {self.real_floor} for the {self.structure} structure; it must be above 0, and "
                f"the dense structure has no Re(Lambda) to keep there (leave it out for no floor)."
            )
        if self.norm_over_padding and self.norm != "batch":
            raise UsageError(
                f"model.norm_over_padding is true, but model.norm is '{self.norm}', which looks at one position at a "
                f"time; leave it out, or set model.norm = 'batch'."
            )
        if self.b_clip is not None:
            self._check_clip(self.b_clip)
        if self.discretization == "default":
            written_out = "zoh" if self.structure == "diagonal" else "bilinear"
            object.__setattr__(self, "discretization", written_out)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader must be told beside every result."""
        return ("batch statistics over padding, as in the official code",) if self.norm_over_padding else ()

    @property
    def copies(self) -> int:
        assert self.n_ssm is not None
        return self.n_ssm

    def full_rank(self, basis: Basis) -> int:
        """R: the larger of `rank` and what the basis requires; 0 where the structure has no P."""
        required = max(part.required_rank for part in parts(basis))
        return max(self.rank or 0, required) if self.structure == "dplr" else 0

    def check(self, basis: Basis, name: str, timescale: LogUniform | None = None) -> None:
        """Raise UsageError when this model cannot be initialised from `basis`, which is registered as `name`.

        With a timescale, also when the two do not go together.
        """
        if timescale is not None and timescale.per == "state" and self.structure != "diagonal":
            raise UsageError(
                f"dt.per is 'state', but model.structure is '{self.structure}', which mixes the states of a head; "
                f"set dt.per = 'head' or model.structure = 'diagonal'."
            )
        dealt = parts(basis)
        if self.copies % len(dealt):
            raise UsageError(
                f"The basis '{name}' has {len(dealt)} parts, so model.n_ssm ({self.n_ssm}) must be a multiple of that."
            )
        for part in dealt:
            if self.structure not in part.structures:
                raise UsageError(
                    f"The basis '{name}' has no {self.structure} form; it has: {', '.join(part.structures)}. "
                    f"Set model.structure to one of these, or choose another basis."
                )
            if self.structure == "dplr" and self.rank is not None and self.rank < part.required_rank:
                raise UsageError(
                    f"model.rank is {self.rank}, but the basis '{name}' needs rank {part.required_rank}; "
                    f"set model.rank = {part.required_rank} or leave it out."
                )

    def request(self, basis: Basis, length: int, device: str = "cpu", batch: int = 1) -> Request:
        """What a layer of this model asks of a kernel backend for `batch` sequences of length `length`."""
        assert self.discretization != "default"
        return Request(
            structure=self.structure,
            discretization=self.discretization,
            heads=self.d_model,
            state=self.d_state,
            length=length,
            rank=self.full_rank(basis),
            channels=2 if self.bidirectional else 1,
            device=device,
            application=self.application,
            batch=batch,
            diagonalisable=self.structure == "dplr"
            and not self.train_A
            and all(part.diagonalisable for part in parts(basis)),
        )

    def _check_clip(self, limit: float) -> None:
        if limit <= 0:
            raise UsageError(f"model.b_clip is {limit}; it must be above 0 (leave it out for no clamp).")
        if self.structure == "dense":
            raise UsageError(
                f"model.b_clip is {limit}, but the dense structure has no eigenbasis; leave it out, "
                f"or set model.structure to dplr or diagonal."
            )
        if self.structure == "diagonal" and self.b_clip_part == "imag":
            raise UsageError(
                "model.b_clip_part is 'imag', which is defined by the eigenvectors of the dplr structure; "
                "set it to 'modulus' for the diagonal structure."
            )
