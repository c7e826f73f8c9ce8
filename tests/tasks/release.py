"""A small Pathfinder release in the form of the real one, for tests to read and to damage."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.tasks.pathfinder_draw import chunk
from harness.tasks.pathfinder_files import LEVELS
from harness.tasks.pathfinder_rules import PATH_DASHES, rules

BATCHES = (0, 2, 10)
PER_BATCH = 4


def png(x: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(x).save(out, "png", **options)
    return out.getvalue()


def row(difficulty: str, batch: int, index: int, label: int) -> list[str]:
    dashes = PATH_DASHES[difficulty]
    numbers = ["1.0", dashes, dashes // 3, 2, 0.5, 1, 1]
    return [f"imgs/{batch}", f"sample_{index}.png", str(index), str(label), *map(str, numbers)]


def write(folder: Path, difficulty: str = "hard") -> tuple[np.ndarray, np.ndarray]:
    """Fill `folder` (pathfinder32); the pictures (12, 1024) and labels (12,) by batch number and line."""
    drawn = chunk(rules(32, "easy"), 0, 0).first(len(BATCHES) * PER_BATCH)
    level = folder / LEVELS[difficulty]
    for part, batch in enumerate(BATCHES):
        images, lines = level / "imgs" / str(batch), []
        images.mkdir(parents=True)
        for index in range(PER_BATCH):
            at = part * PER_BATCH + index
            (images / f"sample_{index}.png").write_bytes(png(drawn.x[at].reshape(32, 32)))
            lines.append(" ".join(row(difficulty, batch, index, int(drawn.y[at]))))
        (level / "metadata").mkdir(exist_ok=True)
        (level / "metadata" / f"{batch}.npy").write_text("\n".join(lines) + "\n")
    return drawn.x, drawn.y
