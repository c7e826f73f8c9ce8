"""The parameters of a timing. Torch-free; `harness.throughput.timer` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.bases.basis import Basis
from harness.errors import UsageError
from harness.ssm.config import S4, parts
from harness.ssm.timescale import LogUniform
from harness.throughput.contestant import Contestant, parse


@dataclass(frozen=True)
class Timer:
    """What every timing has: contestants interleaved round-robin in one process, each after a correctness gate."""

    version: ClassVar[int] = 2
    applied: ClassVar[bool] = True
    """Whether a contestant says how its kernel is applied."""
    may_be_given: ClassVar[bool] = False
    sizes: ClassVar[tuple[str, ...]] = ("length", "heads", "state")
    counts: ClassVar[tuple[str, ...]] = ("repeats", "threads", "gate_heads")

    backends: tuple[str, ...] = ("reference", "two_level")
    """The contestants: "krylov", "krylov(squarings=float32)", "two_level + chunked"."""
    baseline: str | None = None
    """Ratios are against this one; it is timed twice, and the two must agree. None is written out as the first."""
    length: int = 1024
    heads: int = 64
    state: int = 64
    structure: Literal["dplr", "diagonal", "dense"] = "diagonal"
    discretization: Literal["default", "zoh", "bilinear"] = "default"
    """`default` is written out as bilinear for dplr and dense, zoh for diagonal."""
    dtype: Literal["float32", "float64"] = "float32"
    direction: Literal["forward", "both"] = "both"
    """Time the forward pass, or forward and backward together as well."""
    launch: Literal["eager", "graph"] = "eager"
    """`graph` replays a captured CUDA graph, which leaves out the cost of launching from Python."""
    repeats: int = 20
    """A contestant that takes over a second is repeated only five times, in rounds spread over these."""
    threads: int = 1
    gate_heads: int = 4
    """Heads that the correctness gate compares, spread over the range of dt from its least to its greatest."""
    memory: bool = True
    """Measure peak memory, each contestant in a process of its own; without it memory is predicted only where
    budget_gib is given."""
    budget_s: float = 60.0
    """A contestant whose call is predicted to take longer is left out."""
    budget_gib: float | None = None
    """A contestant whose call is predicted to need more memory is left out; None is what the machine has left."""

    def __post_init__(self) -> None:
        for name in (*self.sizes, *self.counts):
            if getattr(self, name) < 1:
                raise UsageError(f"timer.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.state % 2:
            raise UsageError(f"timer.state is {self.state}; it must be even, because states come in conjugate pairs.")
        for name, value in (("budget_s", self.budget_s), ("budget_gib", self.budget_gib)):
            if value is not None and not value > 0:
                raise UsageError(f"timer.{name} is {value}; it must be above 0.")
        if not self.backends:
            raise UsageError("timer.backends is empty; name at least one backend.")
        seen: dict[tuple[object, ...], str] = {}
        for one in self.contestants:
            if (other := seen.setdefault(one.identity, one.text)) is not one.text or self.backends.count(one.text) > 1:
                raise UsageError(f"timer.backends has '{one.text}' and '{other}', which are the same; keep one.")
        if self.baseline is None:
            object.__setattr__(self, "baseline", self.backends[0])
        if self.baseline not in self.backends:
            raise UsageError(
                f"timer.baseline is '{self.baseline}', which is not among timer.backends: {', '.join(self.backends)}."
            )
        if self.discretization == "default":
            object.__setattr__(self, "discretization", self.model.discretization)

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """In file order. Raises UsageError for a text that names none."""
        return tuple(parse(text, self.applied, self.may_be_given) for text in self.backends)

    @property
    def batch_size(self) -> int:
        """Sequences of a call; 1 where only a kernel is generated."""
        return 1

    @property
    def model(self) -> S4:
        """The one-layer model whose state spaces are timed."""
        return S4(
            d_model=self.heads,
            d_state=self.state,
            n_layers=1,
            structure=self.structure,
            discretization=self.discretization,
        )

    def few(self, basis: Basis) -> int:
        """How many heads the gate takes: `gate_heads`, so many that a mixture deals each of its parts."""
        dealt = len(parts(basis))
        return min(self.heads, -(-self.gate_heads // dealt) * dealt)

    def check(self, basis: Basis, name: str, timescale: LogUniform) -> None:
        """Raise UsageError when `basis`, registered as `name`, has no such structure, or the timescale does not fit."""
        self.model.check(basis, name, timescale)


@dataclass(frozen=True)
class KernelTimer(Timer):
    """Kernel generation: K (H, L) of the parameters, and their gradients."""

    applied: ClassVar[bool] = False


@dataclass(frozen=True)
class LayerTimer(Timer):
    """A whole layer y = K * u, generation included: y (M, H, L) of u, and the gradients of u and the parameters."""

    may_be_given: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = ("length", "heads", "state", "batch")

    batch: int = 1
    """M, sequences."""

    @property
    def batch_size(self) -> int:
        return self.batch


@dataclass(frozen=True)
class StepTimer(Timer):
    """A whole training step of an S4 model: forward and loss, and with backward and optimiser."""

    sizes: ClassVar[tuple[str, ...]] = ("length", "heads", "state", "batch", "layers", "inputs", "outputs")

    batch: int = 8
    """M, sequences."""
    layers: int = 2
    inputs: int = 1
    """Features of the input at each step."""
    outputs: int = 10
    """Classes of the loss, which is cross-entropy."""
    glu: bool = True
    norm: Literal["batch", "layer", "none"] = "layer"

    @property
    def batch_size(self) -> int:
        return self.batch

    @property
    def model(self) -> S4:
        """The deep model whose step is timed; `heads` are its features."""
        return S4(
            d_model=self.heads,
            d_state=self.state,
            n_layers=self.layers,
            structure=self.structure,
            discretization=self.discretization,
            glu=self.glu,
            norm=self.norm,
        )
