"""Pathfinder's labels lie in its pictures: a small network learns them, and not from the distance of the dots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from path_follower import Follower, growth, train
from path_pictures import Drawn, alike, drawn

from harness.tasks.pathfinder_arrays import dot_distance
from harness.tasks.pathfinder_rules import Difficulty, rules

pytestmark = pytest.mark.long

LIMIT = 4.0
"""Standard errors of a share of right answers, which is binomial: one in 30,000 by chance."""
FAR = 0.10
"""By so much the network must at least be right more often than the distance of the dots is."""

FITTED = 3000
"""Pictures that the readout is fitted on."""
RIDGE = 1e-3


@dataclass(frozen=True)
class Setting:
    """Which pictures, and a network that learns them in minutes on the device."""

    device: str
    size: int
    difficulty: Difficulty
    train_chunks: int
    test_chunks: int
    cell: int
    channels: int
    layers: int
    steps: int
    batch: int
    rate: float


EASY = Setting("cpu", 32, "easy", 64, 8, cell=2, channels=48, layers=4, steps=2100, batch=16, rate=2e-3)
PATH_X = Setting("cuda", 128, "hard", 125, 25, cell=4, channels=64, layers=5, steps=4000, batch=32, rate=1e-3)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="16 times the pixels and twice the dashes, on a GPU")


@dataclass(frozen=True)
class Learnt:
    """A trained network, and the pictures that it saw and did not see."""

    setting: Setting
    net: Follower
    seen: Drawn
    unseen: Drawn

    def right(self, pictures: Drawn) -> float:
        """Accuracy of the network and its readout, which is fitted on pictures that it was trained on."""
        seen, asked = (growth(self.net, x.to(self.setting.device)) for x in (self.seen.x[:FITTED], pictures.x))
        return float((readout(seen, self.seen.y[:FITTED], asked) == pictures.y).float().mean())

    def by_distance(self, pictures: Drawn) -> float:
        """Accuracy of the best threshold on the distance of the dots, chosen on what the network saw."""
        distances = [one.apart.numpy() for one in (self.seen, pictures)]
        labels = [one.y.numpy().astype(np.uint8) for one in (self.seen, pictures)]
        return dot_distance(distances[0], labels[0], distances[1], labels[1])


def readout(seen: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """The label of each row asked, by ridge regression of the labels on the rows seen; (n, F), (n,), (m, F) to (m,)."""
    mean, deviation = seen.mean(dim=0), seen.std(dim=0) + 1e-9
    a, b = (((rows - mean) / deviation).double() for rows in (seen, asked))
    y = labels.double()
    share = y.mean()
    # Neighbouring rounds mark almost the same, so that plain least squares would weigh their noise.
    w = torch.linalg.solve(a.T @ a / len(a) + RIDGE * torch.eye(a.shape[1]).double(), a.T @ (y - share) / len(a))
    return (b @ w + share > 0.5).float()


@pytest.fixture(
    scope="module",
    params=[pytest.param(EASY, id="pathfinder-easy"), pytest.param(PATH_X, id="path-x", marks=GPU)],
)
def learnt(request: pytest.FixtureRequest) -> Learnt:
    """Trained on the pictures of one seed, to be tested on those of another.

    The readout was chosen on the pictures of seed 2, so those are not asked.
    """
    chosen: Setting = request.param
    settings = rules(chosen.size, chosen.difficulty)
    seen, unseen = drawn(settings, 1, chosen.train_chunks), drawn(settings, 3, chosen.test_chunks)
    torch.manual_seed(0)
    net = Follower(settings.path_dashes, chosen.cell, chosen.channels, chosen.layers).to(chosen.device)
    train(net, seen.to(chosen.device), chosen.steps, chosen.batch, chosen.rate)
    return Learnt(chosen, net, seen, unseen)


def binomial_error(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


def test_a_small_network_tells_the_label_far_better_than_the_distance_of_the_dots_does(learnt: Learnt) -> None:
    right, distance = learnt.right(learnt.unseen), learnt.by_distance(learnt.unseen)
    count = len(learnt.unseen.y)
    error = math.hypot(binomial_error(right, count), binomial_error(distance, count))
    print(f"\nnetwork {right:.3f}, distance of the dots {distance:.3f}, {count} pictures")
    assert right > distance + max(FAR, LIMIT * error)


def test_it_does_so_where_the_distance_tells_nothing(learnt: Learnt) -> None:
    same = alike(learnt.unseen)
    right, distance = learnt.right(same), learnt.by_distance(same)
    count = len(same.y)
    assert count > len(learnt.unseen.y) / 2 and abs(distance - 0.5) < LIMIT * binomial_error(0.5, count)
    assert right > 0.5 + max(FAR, LIMIT * binomial_error(right, count))


def test_it_reads_the_original_s_pictures_as_it_reads_ours(learnt: Learnt, data_root: Path) -> None:
    """Trained on ours alone: what differs between the two and matters to the label would cost right answers."""
    size, name = learnt.setting.size, f"{learnt.setting.size}_{learnt.setting.difficulty}"
    with np.load(data_root / "pathfinder_reference.npz", allow_pickle=False) as reference:
        x = torch.from_numpy(reference[f"x{name}"]).reshape(-1, 1, size, size)
        y = torch.from_numpy(reference[f"y{name}"]).float()
    nothing = torch.zeros(0)
    ours, theirs = learnt.right(learnt.unseen), learnt.right(Drawn(x, nothing, y, nothing))
    error = math.hypot(binomial_error(ours, len(y)), binomial_error(ours, len(learnt.unseen.y)))
    print(f"\nours {ours:.3f}, the original's {theirs:.3f}, {len(y)} pictures")
    assert theirs > max(ours - LIMIT * error, 0.5)
