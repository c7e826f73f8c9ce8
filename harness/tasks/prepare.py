"""Everything a trial needs of its data, made beforehand: fetched, read or generated, coded and checked. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentProblem
from harness.tasks import lra_archive
from harness.tasks.cache import damaged, discard
from harness.tasks.download import download
from harness.tasks.files import DataFile, cache_folder, find
from harness.tasks.task import Provenance, Task


@dataclass(frozen=True)
class Prepared:
    """What is there now."""

    provenance: Provenance
    fetched: tuple[Path, ...]
    """Files that were downloaded or unpacked."""
    entry: Path | None
    """The folder in the cache; None for a task that draws its data as it trains."""
    size: int
    """Bytes of the entry."""
    mended: tuple[str, ...]
    """Arrays of the entry that were damaged, and have been made again."""


def prepare(task: Task, data_root: Path | None, *, fetch: bool = True) -> Prepared:
    """Fetch what is missing and has an address, make the task's cache entry and compare it with its checksums.

    Raises EnvironmentProblem where something is missing that cannot be fetched, and UsageError where it is not right.
    """
    missing = [file for file in task.reads() if find(file, data_root) is None]
    fetched = _fetch(missing, data_root) if fetch and data_root is not None else ()
    provenance = task.provenance(data_root)
    name = task.prepare(data_root)
    if name is None:
        return Prepared(provenance, fetched, None, 0, ())
    mended = tuple(damaged(name))
    if mended:
        discard(name)
        task.prepare(data_root)
        if still := damaged(name):
            raise EnvironmentProblem(
                f"'{cache_folder() / name}' does not keep what is written to it ({', '.join(still)} differ). "
                f"Check the disk, or set HARNESS_CACHE to another one."
            )
    entry = cache_folder() / name
    return Prepared(provenance, fetched, entry, sum(file.stat().st_size for file in entry.iterdir()), mended)


def _fetch(missing: list[DataFile], data_root: Path) -> tuple[Path, ...]:
    fetched = [download(file, data_root) for file in missing if file.url]
    archived = [file for file in missing if file.archived]
    if archived:
        if find(lra_archive.FILE, data_root) is None:
            fetched.append(download(lra_archive.FILE, data_root))
        fetched += lra_archive.unpack(archived, data_root)
    return tuple(fetched)
