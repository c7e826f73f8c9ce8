"""The official batches of CIFAR-10: four forms of the same pixels, and pickles that would run something."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import image
from harness.tasks.files import write_arrays
from harness.tasks.image import Image
from harness.tasks.image_files import BATCHES, BINARY, PYTHON, gray, identity, read_images
from harness.tasks.pickled import unpickled

NAMES = (*BATCHES, "test_batch")
FORMS = ("binary folder", "binary archive", "python folder", "python archive")
PER_BATCH = 20


def planes(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(NAMES.index(name))
    return rng.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8), rng.integers(0, 10, PER_BATCH, dtype=np.uint8)


def text(value: bytes) -> bytes:
    """A string as Python 2 pickles it, which is how the official batches were made."""
    return b"U" + bytes([len(value)]) + value


def python_2_pickle(data: np.ndarray, labels: np.ndarray, fortran: bool = False, kind: bytes = b"u1") -> bytes:
    """{"labels": ..., "data": ...} opcode by opcode, as NumPy of that time wrote it (protocol 2)."""
    content = data.tobytes("F" if fortran else "C")
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"M" + struct.pack("<H", data.shape[0]) + b"M" + struct.pack("<H", data.shape[1]) + b"\x86"
    state = b"(K\x01" + shape + dtype + (b"\x88" if fortran else b"\x89")
    state += b"T" + struct.pack("<i", len(content)) + content + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + state + b"u."


def files(python: bool) -> dict[str, bytes]:
    found = {}
    for name in NAMES:
        x, y = planes(name)
        found[f"{PYTHON}/{name}" if python else f"{BINARY}/{name}.bin"] = (
            python_2_pickle(x, y) if python else np.concatenate([y[:, None], x], axis=1).tobytes()
        )
    return found | {f"{PYTHON if python else BINARY}/readme.html": b"<html>"}


def write(root: Path, form: str) -> Path:
    kind, _, place = form.partition(" ")
    found = files(kind == "python")
    if place == "folder":
        for name, content in found.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        return root / (PYTHON if kind == "python" else BINARY)
    path = root / f"cifar-10-{kind}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in found.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_gray_is_the_formula_pixel_by_pixel() -> None:
    x, _ = planes("test_batch")
    R, G, B = (x[:, part * 1024 : (part + 1) * 1024].astype(int) for part in range(3))
    assert (gray(x) == (19595 * R + 38470 * G + 7471 * B + 32768) // 65536).all()
    assert (gray(np.full((1, 3072), 255, np.uint8)) == 255).all()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_the_same_images(tmp_path: Path, form: str) -> None:
    arrays = read_images(write(tmp_path, form))
    assert (arrays["x_train"] == gray(np.concatenate([planes(name)[0] for name in BATCHES]))).all()
    assert (arrays["y_train"] == np.concatenate([planes(name)[1] for name in BATCHES])).all()
    assert (arrays["x_test"] == gray(planes("test_batch")[0])).all()
    assert (arrays["y_test"] == planes("test_batch")[1]).all()


@pytest.mark.parametrize("form", FORMS)
def test_the_task_opens_every_form(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, form)
    provenance = Image(val=20).provenance(tmp_path)
    assert path.name in provenance.source and provenance.labels == ("unverified copy of CIFAR-10",)
    assert Image(val=20).open(tmp_path, 0).sizes == {"train": 80, "val": 20, "test": 20}
    monkeypatch.setattr(image, "OFFICIAL", {identity(path)[0]})
    assert Image(val=20).provenance(tmp_path).labels == ()


def test_the_original_pixels_are_preferred_to_gray_ones(tmp_path: Path) -> None:
    write_arrays(tmp_path / "cifar10_gray.npz", {"x": np.zeros(1)})
    write(tmp_path, "binary folder")
    assert BINARY in Image().provenance(tmp_path).source


@pytest.mark.parametrize("form", ["binary folder", "python folder"])
def test_a_missing_batch_is_one_sentence(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)
    next(path.glob("data_batch_3*")).unlink()
    with pytest.raises(EnvironmentProblem, match=r"data_batch_3(\.bin)?' is missing, which belongs to"):
        Image().provenance(tmp_path)


@pytest.mark.parametrize("cut", [0, 100, 3000])
@pytest.mark.parametrize("form", FORMS)
def test_a_cut_copy_is_one_sentence_that_names_it(tmp_path: Path, form: str, cut: int) -> None:
    path = write(tmp_path, form)
    part = next(path.glob("data_batch_2*")) if path.is_dir() else path
    part.write_bytes(part.read_bytes()[:cut])
    with pytest.raises(UsageError, match=f"^{re.escape(str(part))} (is damaged|has|cannot be read)") as problem:
        read_images(path)
    assert "\n" not in str(problem.value) and "Get it again" in str(problem.value)


def test_an_archive_without_a_batch_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(UsageError, match="has no batch 'data_batch_1'"):
        read_images(path)


@pytest.mark.parametrize("form", ["binary folder", "python folder"])
def test_a_wrong_label_is_named_with_its_image(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)
    x, y = planes("test_batch")
    y[4] = 17
    content = python_2_pickle(x, y) if "python" in form else np.concatenate([y[:, None], x], axis=1).tobytes()
    next(path.glob("test_batch*")).write_bytes(content)
    with pytest.raises(UsageError, match=r"test_batch(\.bin)?, image 5: the label is not 0 to 9"):
        read_images(path)


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(os.system, ("touch ran",)), (eval, ("open('ran', 'w')",)), (getattr, (os, "system")), (np.load, ("ran",))],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_something_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any, arguments: Any, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    if function is getattr:
        content = b"cbuiltins\ngetattr\n(cos\nenviron\nVitems\ntR."
    else:
        content = pickle.dumps({b"data": Call(function, *arguments)}, protocol=protocol)
    with pytest.raises(
        UsageError, match=r"the batch cannot be read as a batch \(it names .*, which no batch of images"
    ):
        unpickled(content, "the batch", "Get it again.")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", [b"O8", b"f8", b"S1"])
def test_an_array_of_anything_but_bytes_is_refused(kind: bytes) -> None:
    content = python_2_pickle(*planes("test_batch"), kind=kind)
    with pytest.raises(UsageError, match="not one of unsigned bytes"):
        unpickled(content, "the batch", "")


@pytest.mark.parametrize("fortran", [False, True])
def test_arrays_come_back_in_either_order(fortran: bool) -> None:
    x, y = planes("test_batch")
    found = unpickled(python_2_pickle(x, y, fortran), "the batch", "")
    assert (found[b"data"] == x).all() and found[b"labels"] == y.tolist()


@pytest.mark.parametrize("batch", [[], {}, {b"data": b"x"}, {b"data": None, b"labels": []}])
def test_a_pickle_of_something_else_is_one_sentence(tmp_path: Path, batch: Any) -> None:
    path = write(tmp_path, "python folder")
    (path / "data_batch_1").write_bytes(b"\x80\x02" + pickle.dumps(batch, protocol=3)[2:])
    with pytest.raises(UsageError, match=r"data_batch_1 has no 'data' of shape \(n, 3072\)"):
        read_images(path)
