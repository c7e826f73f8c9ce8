"""Every test has a cache folder of its own; `small_root` holds small data sets in the forms of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_copies import reviews, write_aan, write_reviews

from harness.tasks.files import write_arrays


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    return folder


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    """120 training and 40 test images, every class equally often, and no two alike."""
    rng = np.random.default_rng(7)
    return {
        "x_train": rng.integers(0, 256, (120, 1024), dtype=np.uint8),
        "y_train": np.arange(120) % 10,
        "x_test": rng.integers(0, 256, (40, 1024), dtype=np.uint8),
        "y_test": np.arange(40) % 10,
    }


@pytest.fixture
def small_root(tmp_path: Path, images: dict[str, np.ndarray]) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    write_arrays(root / "cifar10_gray.npz", images)
    write_reviews(root, "lines", reviews())
    write_aan(root)
    return root
