"""A small convolutional network that follows the dashed paths from the dots of Pathfinder, and tells the label.

In every round the same few convolutions see the picture and the marks of the round before, and mark one dash more of
each path that begins at a dot; the label is read from the last round. From labels alone a network finds out what is
asked for only after millions of pictures. While it is trained this one is shown the marks that the drawing knows to be
right; tested, it sees the picture alone.

Legend: n pictures of s x s pixels, c side of a cell in pixels, C channels.

Sources: contours by horizontal connections, Linsley et al. 2018; rounds that begin from true marks with a falling
probability, Bengio et al. 2015 (scheduled sampling).
"""

from __future__ import annotations

import torch
from path_pictures import Drawn, batches
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu

MARKS = 10.0
"""Weight of the marks' loss, which is a mean over pixels that mostly have none, beside the label's."""


class Follower(nn.Module):
    """`layers` residual convolutions over cells of c x c pixels, shared by all rounds."""

    def __init__(self, rounds: int, cell: int, channels: int, layers: int) -> None:
        super().__init__()
        self.rounds, self.cell = rounds, cell
        self.enter = nn.Conv2d(2 * cell**2, channels, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.mark = nn.Conv2d(channels, cell**2, 1)
        self.label = nn.Linear(channels, 1)
        self.kept = nn.Parameter(torch.tensor(6.0))
        """What is marked stays so unless the convolutions object: they have to find only what is new."""

    def round(self, x: torch.Tensor, marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From x and marks, (n, 1, s, s) in 0..1, to new marks (n, 1, s, s) and the label (n,), both as logits."""
        h = relu(self.enter(pixel_unshuffle(torch.cat([x, marks], dim=1), self.cell)))
        for layer in self.layers:
            h = h + relu(layer(h))
        new = pixel_shuffle(self.mark(h), self.cell) + self.kept * (marks - 0.5)
        return new, self.label(h.mean(dim=(2, 3)))[:, 0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logit of label 1 for pictures uint8 (n, 1, s, s); (n,)."""
        x = x.float() / 255
        marks, label = torch.zeros_like(x), x.new_zeros(len(x))
        for _ in range(self.rounds):
            logits, label = self.round(x, marks)
            marks = logits.sigmoid()
        return label


def losses(net: Follower, batch: Drawn, told: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the marks, summed over rounds, and of the label; after round t all within t dashes of a dot is marked.

    A round begins from the true marks with probability `told`, else from those that the network made itself.
    """
    x = batch.x.float() / 255
    marks, label, loss = torch.zeros_like(x), x.new_zeros(len(x)), x.new_zeros(())
    for t in range(net.rounds):
        logits, label = net.round(x, marks)
        truth = (batch.away <= t).float()
        loss = loss + cross_entropy(logits, truth)
        own = torch.rand(len(x), 1, 1, 1, device=x.device) >= told
        marks = torch.where(own, logits.detach().sigmoid(), truth)
    return loss, cross_entropy(label, batch.y)


def train(net: Follower, pictures: Drawn, count: int, size: int, rate: float) -> None:
    """`count` steps on batches of `size`; from half-way on the network has its own marks only."""
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=count, pct_start=0.1)
    for step, batch in enumerate(batches(pictures, size, count, seed=0)):
        marks, label = losses(net, batch, told=1 - 2 * step / count)
        optimiser.zero_grad()
        (MARKS * marks + label).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()


@torch.no_grad()
def says(net: Follower, x: torch.Tensor) -> torch.Tensor:
    """The label that the network gives each picture, 0 or 1."""
    return torch.cat([(net(part) > 0).float() for part in x.split(250)])
