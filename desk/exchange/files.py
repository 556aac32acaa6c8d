"""Files read with errors that name the line, and written whole or not at all."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from classifier.links import resolved
from desk.exchange.material import ExchangeError


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark; its line ends stay as they are."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ExchangeError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ExchangeError(f"{path}: can't be read ({error.strerror})") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ExchangeError(f"{path}:{line}: is not UTF-8; save the file as UTF-8") from None
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise ExchangeError(f"{path}:{line}: holds a NUL character; save the file as UTF-8 text")
    return text


def marked(path: Path, text: str) -> str:
    """The text with a byte order mark, if the file that it is for begins with one."""
    has_mark = path.exists() and path.read_bytes().startswith(codecs.BOM_UTF8)
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + text if has_mark else text


def write_files(contents: Mapping[Path, str]) -> None:
    """Write all files, in this order, or none: where one fails, those before it are put back.

    Raises `ExchangeError` where one can't be written.
    """
    partials: dict[Path, Path] = {}
    before: dict[Path, bytes | None] = {}
    try:
        for path, text in contents.items():
            with told(path):
                target = resolved(path)  # a link stays a link
                target.parent.mkdir(parents=True, exist_ok=True)
                partials[target] = partial_of(target)
                _write(partials[target], text.encode())
                if target.exists():
                    shutil.copymode(target, partials[target])
        for target, partial in partials.items():
            with told(target):
                old = target.read_bytes() if target.exists() else None
                partial.replace(target)
                before[target] = old
    except BaseException:
        for target, old in before.items():
            if old is None:
                target.unlink()
            else:
                _write(partials[target], old)
                shutil.copymode(target, partials[target])
                partials[target].replace(target)
        _remove(partials.values())
        raise


def write_folder(folder: Path, contents: Mapping[str, str]) -> None:
    """Make a folder, which must not exist, with these files; it appears whole.

    Raises `ExchangeError` where it can't be made.
    """
    target = folder.resolve()
    partial = partial_of(target)
    shutil.rmtree(partial, ignore_errors=True)  # of an import that was killed
    try:
        with told(folder):
            partial.mkdir(parents=True)
            for name, text in contents.items():
                _write(partial / name, text.encode())
            partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Tells an error of the system, which may be of a partial file, of the file it is for."""
    try:
        yield
    except OSError as error:
        raise ExchangeError(
            f"{path}: could not be written ({error.strerror}), and nothing was changed; "
            "see that there is room and that you may write there"
        ) from error


def partial_of(target: Path) -> Path:
    """The file or folder in which `target` is written before it takes its place."""
    return target.with_name(f".{target.name}.partial")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
