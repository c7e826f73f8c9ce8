"""Getting a data file from its public address: resumed where it was cut, checked, whole or not there. Torch-free.

What has arrived is kept beside the file's place, as NAME.part; pooch compares the whole with its SHA-256 and only then
moves it there.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentProblem
from harness.tasks.files import DataFile
from harness.tasks.progress import told

ATTEMPTS = 5
"""In a row that bring nothing."""
PAUSE_S = 2.0
"""After the first of them; after each one more it is as long again."""
TIMEOUT_S = 60.0
"""Without a byte."""
CHUNK = 1 << 16
"""Bytes; a cut connection loses at most this many of those that arrived."""


def download(file: DataFile, data_root: Path) -> Path:
    """Bring a file to its first place below the data root; raises EnvironmentProblem saying what to do by hand."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    place = data_root / file.places[0]
    resumed = Resumed(place.with_name(place.name + ".part"))
    by_hand = f"Try again, or bring {file.url} to '{place}' from another machine."
    fresh = False
    while True:
        resumed.left_over = False
        try:
            pooch.retrieve(file.url, file.sha256 or None, place.name, place.parent, downloader=resumed)
            return place
        except requests.RequestException as problem:
            kept = resumed.kept()
            note = f" The {kept:,} bytes that arrived are kept, and the same command goes on there." if kept else ""
            raise EnvironmentProblem(f"{file.url} cannot be fetched ({_short(problem)}). {by_hand}{note}") from problem
        except ValueError as wrong:
            # What an earlier, other version of the file left may have been continued: once, all of it is fetched.
            if fresh or not resumed.left_over:
                raise EnvironmentProblem(
                    f"What {file.url} serves is not the file that is expected (its SHA-256 differs), and was not kept. "
                    f"{by_hand}"
                ) from wrong
            fresh = True
        except OSError as problem:
            raise EnvironmentProblem(f"'{place}' cannot be written ({problem.strerror}). Make room there.") from problem


class Resumed:
    """A downloader for pooch that goes on from what `part` holds, over several attempts."""

    def __init__(self, part: Path) -> None:
        self.part = part
        self.left_over = False
        """Whether something that lay there before was continued."""

    def __call__(self, url: str, output: Any, pooch: object) -> None:
        import requests

        self.left_over = self.part.exists()
        fruitless = 0
        while True:
            before = self.kept()
            try:
                self._go_on(url)
                break
            except requests.RequestException as problem:
                fruitless = 0 if self.kept() > before else fruitless + 1
                refused = isinstance(problem, requests.HTTPError) and problem.response.status_code < 500
                if refused or fruitless == ATTEMPTS:
                    raise
            time.sleep(PAUSE_S * fruitless)
        self.part.replace(output)

    def kept(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str) -> None:
        import requests

        have = self.kept()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                return
            response.raise_for_status()
            continued = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if continued else 0
            size = response.headers.get("Content-Length")
            total = have + int(size) if size else None
            with self.part.open("ab" if continued else "wb") as out:
                for chunk in response.iter_content(CHUNK):
                    out.write(chunk)
                    have += len(chunk)
                    told(f"downloading {self.part.stem}", have, total)


def _short(problem: Exception) -> str:
    """The cause, without the layers of the libraries that it came through."""
    inner: BaseException = problem
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    reason = getattr(inner, "reason", None) or (inner.args[0] if inner.args else inner)
    return str(reason).partition("\n")[0].rpartition(">: ")[2]
