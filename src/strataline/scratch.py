"""A folder for what does not fit into memory, which goes with who asked for it, and after a crash with the next one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

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
            OSError: if it cannot be made.
        """
        with self._making:
            if self._folder is None:
                _tidy(self._near)
                folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._near))
                self._removed = weakref.finalize(self, _remove, folder, _locked(folder))
                self._folder = folder
            return self._folder

    def remove(self) -> None:
        """Remove the folder now, if it was made."""
        if self._folder is not None:
            self._removed()


def _locked(folder: Path) -> BinaryIO:
    file = (folder / _LOCK).open("wb")
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _remove(folder: Path, lock: BinaryIO) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _tidy(near: Path) -> None:
    """Remove the folders of processes that are no more; where files are locked in another way they stay."""
    if sys.platform == "win32":
        return
    for folder in near.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
