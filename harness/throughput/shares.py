"""The share of time that each part of a training step takes, by torch's profiler, forward and backward apart.

An operation belongs to the innermost mark around it (`harness.kernels.parts`, and the modules under MODULES); one of
the backward pass to the part of the forward operation that made its node, which the profiler tells by a number that
both have. On a processor a share is the operation's own time, on a GPU that of its kernels, over the wall time of the
call; what no operation accounts for, such as Python or an idle GPU, is part of "other". Shares sum to 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from harness.kernels.parts import PREFIX, marking, part
from harness.ssm.block import Block
from harness.ssm.dropout import TiedDropout
from harness.ssm.layer import Layer
from harness.ssm.norm import Norm
from harness.throughput.clock import Timed

OTHER = "other"
MODULES: dict[type[nn.Module], str] = {nn.Linear: "linear", nn.Embedding: "linear", Layer: "elementwise"}
MODULES |= dict.fromkeys((Norm, nn.Dropout, TiedDropout, nn.GELU, nn.GLU), "elementwise")
"""Of a state space layer what is neither kernel nor convolution: the feed-through, and the mask of padding."""
Shares = dict[tuple[str, str], float]
"""(pass, part) to a share; passes are "forward" (data, loss and optimiser among it) and "backward"."""
BACKWARD, ENGINE = 1, "autograd::engine::"
"""`scope` of an event that is a node of the backward pass, and the start of the name of what runs one."""


def shares(call: Timed, model: nn.Module, device: str) -> tuple[float, Shares]:
    """Seconds of one call under the profiler, and its shares."""
    cuda = device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler, marking(), _hooked(model):
        started = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return seconds, attributed(list(profiler.events()), seconds, cuda)


def attributed(events: Sequence[Any], seconds: float, cuda: bool = False) -> Shares:
    """The shares of the profiler's `events` in a call of `seconds`."""
    makers: dict[int, Any] = {}
    for event in events:
        if event.sequence_nr >= 0 and not _in_backward(event):
            # The last to begin with a number made the node: those before it with the same number made none.
            before = makers.get(event.sequence_nr)
            if before is None or event.time_range.start >= before.time_range.start:
                makers[event.sequence_nr] = event
    main = next((event.thread for event in events if event.name.startswith(PREFIX)), None)
    found: Shares = {}
    for event in events:
        if event.device_type.name != "CPU" or (not cuda and event.thread != main):
            continue
        if own := event.self_device_time_total if cuda else event.self_cpu_time_total:
            place = _place(event, makers)
            found[place] = found.get(place, 0.0) + 1e-6 * own / seconds
    rest = 1.0 - sum(found.values())
    found["forward", OTHER] = found.get(("forward", OTHER), 0.0) + rest
    return found


def _place(event: Any, makers: dict[int, Any]) -> tuple[str, str]:
    """The pass and the part of an event."""
    at = event
    while at is not None:
        if at.name.startswith(PREFIX):
            return "backward" if _in_backward(at) else "forward", at.name.removeprefix(PREFIX)
        if (node := _node(at)) is not None:
            maker = makers.get(node.sequence_nr)
            return "backward", OTHER if maker is None else _place(maker, {})[1]
        at = at.cpu_parent
    return "forward", OTHER


def _node(event: Any) -> Any | None:
    """The node of the backward pass that `event` is, or runs."""
    if event.name.startswith(ENGINE):
        return next((child for child in event.cpu_children if child.scope == BACKWARD), event)
    return event if event.scope == BACKWARD else None


def _in_backward(event: Any) -> bool:
    while event is not None:
        if _node(event) is not None:
            return True
        event = event.cpu_parent
    return False


@contextmanager
def _hooked(model: nn.Module) -> Iterator[None]:
    """The forward passes of MODULES are marked as their parts; a compiled part is marked as a whole."""
    inside: dict[nn.Module, ExitStack] = {}

    def enter(module: nn.Module, *_: Any) -> None:
        inside[module] = ExitStack()
        inside[module].enter_context(part(_part_of(module)))

    def leave(module: nn.Module, *_: Any) -> None:
        inside.pop(module).close()

    blocks = [one for one in model.modules() if isinstance(one, Block) and one.compiled]
    parts = [one for block in blocks for name, one in block.named_children() if name not in ("layer", "norm")]
    compiled = {module for one in parts for module in one.modules()}
    handles = []
    for module in model.modules():
        if isinstance(module, tuple(MODULES)) and module not in compiled:
            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _part_of(module: nn.Module) -> str:
    return next(name for kind, name in MODULES.items() if isinstance(module, kind))
