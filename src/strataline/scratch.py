"""A folder for what does not fit into memory, which goes with who asked for it, and after a crash with the next one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from strataline.errors import CaseError

if sys.platform != "win32":
    import fcntl

PREFIX = ".strataline-scratch-"
_LOCK = "in-use"


class Scratch:
    """A folder that is made when it is first asked for, and removed when this is gone.

    Whoever makes one removes those beside it that a crash left behind: their lock is held by nobody.

    Args:
        near: the folder in which it is made; by default that for temporary files.
    """

    def __init__(self, near: str | os.PathLike[str] | None = None) -> None:
        self._near = Path(tempfile.gettempdir() if near is None else near)
        self._making = Lock()
        self._folder: Path | None = None

    @property
    def made(self) -> bool:
        """Whether anybody has asked for the folder."""
        return self._folder is not None

    def __call__(self) -> Path:
        """The folder.

        Raises:
            CaseError: if it cannot be made.
        """
        with self._making:
            if self._folder is None:
                with writing(self._near):
                    _tidy(self._near)
                    folder, lock = _made(self._near)
                self._removed = weakref.finalize(self, _remove, folder, lock)
                self._folder = folder
            return self._folder

    def remove(self) -> None:
        """Remove the folder now, if it was made."""
        if self._folder is not None:
            self._removed()


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """What is done here writes to a scratch folder in, or at, `where`.

    Raises:
        CaseError: if that cannot be done.
    """
    try:
        yield
    except OSError as problem:
        hint = "what is too much for memory is kept there: make room, or write the case to another place"
        raise CaseError(f"cannot write: {problem.strerror or problem}", path=str(where), hint=hint) from problem


def _made(near: Path) -> tuple[Path, BinaryIO]:
    """A new folder, and its lock, which is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=near))
        file = (folder / _LOCK).open("wb")
        if sys.platform == "win32":
            return folder, file
        # Until it is locked, another process may take it for one that a crash left behind.
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / _LOCK).exists():
                return folder, file
        file.close()


def _remove(folder: Path, lock: BinaryIO) -> None:
    # Not every system removes a file that is open.
    lock.close()
    shutil.rmtree(folder, ignore_errors=True)


def _tidy(near: Path) -> None:
    """Remove the folders of processes that are no more; where files are locked in another way they stay."""
    if sys.platform == "win32":
        return
    for folder in near.glob(f"{PREFIX}*"):
        with suppress(OSError):
            # What somebody else put there, where all may write, is not ours to open.
            if folder.lstat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
