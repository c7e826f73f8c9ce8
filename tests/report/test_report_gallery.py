"""What the gallery draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_builder import header, write
from report_reading import evidence

from harness.bases import BASES
from harness.bases.fout import FouT
from harness.bases.random import Random
from harness.registry import lookup
from harness.report.sections.bases import SHOWN, TIMES, chosen, kernels


def studied(results: Path, structure: str = "dplr", **basis: Any) -> None:
    head = header(arm={"basis": "legs", "dt": "0.008"}, seed=len(list(results.rglob("*.jsonl*"))))
    head["spec"]["basis"] = {"version": 1, **basis}
    head["spec"]["model"]["structure"] = structure
    head["ablation"] |= {"name": f"study-{head['spec']['seed']}"}
    write(results, [head])


@pytest.mark.parametrize("name", ["legs", "legt", "fout", "lagt", "s4d-inv", "legs+fout"])
def test_the_gallery_draws_finite_kernels(name: str) -> None:
    drawn = kernels(lookup("basis", BASES, name)(), TIMES)[:SHOWN]
    assert drawn.shape[1] == len(TIMES)
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() > 0.1


def test_the_gallery_draws_legs_from_its_definition() -> None:
    # LegS: measure e^-t, p_0 = 1, so K_0(t) = e^-t.
    assert kernels(lookup("basis", BASES, "legs")(), TIMES)[0] == pytest.approx(np.exp(-TIMES), rel=1e-12)


def test_the_gallery_draws_what_the_closure_changes() -> None:
    # Both have the same ideal functions. e^{tA}B starts at B = 2b/theta or b/theta, and leaves it at the rate N/theta:
    # 64/2 times the first lag, 1e-3, is 3 %.
    hippo, naive = (kernels(FouT(closure=closure), TIMES)[0, 0] for closure in ("hippo", "naive"))
    assert hippo == pytest.approx(2 * naive, rel=0.05)


@pytest.mark.parametrize(("structure", "diagonal"), [("dplr", False), ("dense", False), ("diagonal", True)])
def test_the_gallery_draws_the_form_that_the_study_used(tmp_path: Path, structure: str, diagonal: bool) -> None:
    studied(tmp_path, structure, name="random", draw=0)
    assert chosen(evidence(tmp_path)) == {"random(diagonal)" if diagonal else "random": (Random(), diagonal)}


def test_random_is_drawn_with_its_low_rank_part_unless_it_is_diagonal() -> None:
    A, B = Random().matrices(8)
    t = TIMES[0]
    # e^{tA}B = B + tAB + r, |r| <= e^{t|A|} (t|A|)^2 |B| / 2.
    size = t * np.linalg.norm(A, 2)
    rest = np.exp(size) * size**2 * np.linalg.norm(B) / 2
    assert kernels(Random(), TIMES, 8)[:, 0] == pytest.approx(B + t * A @ B, abs=rest)
    assert kernels(Random(), TIMES, 8, diagonal=True).shape[0] == 4


def test_two_arms_of_one_basis_are_two_panels(tmp_path: Path) -> None:
    studied(tmp_path, name="fout", window=2.0, closure="hippo")
    studied(tmp_path, name="fout", window=2.0, closure="naive")
    studied(tmp_path, name="fout", window=1.0, closure="hippo")
    assert set(chosen(evidence(tmp_path))) == {"fout", "fout(closure=naive)", "fout(window=1.0)"}
