"""Objects that lie elsewhere: on an object store or a web server, listed and read through fsspec.

fsspec and what it needs for S3 and HTTP come with the extra ``strataline[cloud]`` and are imported on first use.
Credentials and endpoints are taken from the environment, as fsspec and the store's own client take them. Nothing is
kept on disk, and nothing that may be a secret in a URL (user, password, query) is ever shown.
"""

from __future__ import annotations

import errno
import html
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from strataline.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 8 << 20
"""Bytes that are asked for at once, and read ahead."""

EXTRA = "pip install 'strataline[cloud]'"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_CHAIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*::|.*::[A-Za-z][A-Za-z0-9+.\-]*://", re.DOTALL)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]+")
_PARAMETERS = re.compile(r"\?[\w.\-]+=[^/]*$")
"""A query as it stands behind the key of an object; a ``?`` alone belongs to the key, or to a glob."""

_WEB = {"http", "https"}
_LOCAL = {"file", "local"}
_CONTAINER_AS_USER = {"abfs", "abfss", "adl", "wasb", "wasbs"}
"""``abfs://container@account/…``: what stands before the @ is a place, and no user."""

_HIDDEN = "?…"
_SKIP = 1 << 20
"""Bytes of a stream that are rather read than asked around."""

_PAGES = 10_000
"""Listings of a web server that are followed for one name: it may invent folders without end."""


@dataclass(frozen=True)
class Object:
    """One object that a URL means.

    Args:
        url: where it lies, with whatever the given URL held of credentials: never to be shown.
        key: the same for all spellings of one place.
        parts: what it may be called by, from the server or bucket to its own name; no credentials.
        below: how many of the last parts lie below what was named; 1 for an object that was named itself.
        walked: whether it was met below a folder, and not named itself.
    """

    url: str
    key: str
    parts: tuple[str, ...]
    below: int = 1
    walked: bool = False


def is_url(name: str) -> bool:
    """Whether `name` is a URL rather than a path."""
    return bool(_SCHEME.match(name) or (_CHAIN.match(name) and "://" in name))


def local_path(url: str) -> str | None:
    """The path that a URL of this machine means; None for a URL of another place."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _LOCAL:
        return None
    path = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    return path if os.path.lexists(path) or not os.path.lexists(unquote(path)) else unquote(path)


def redact(url: str) -> str:
    """Return `url` without what may be a secret: user, password, query and fragment."""
    scheme, _, rest = url.partition("://")
    authority = re.match(r"[^/?#]*", rest)
    host = authority[0] if authority else ""
    user, at, bare = host.rpartition("@")
    if at and (scheme.lower() not in _CONTAINER_AS_USER or ":" in user):
        rest = bare + rest[len(host) :]
    if scheme.lower() in _WEB:
        rest = re.sub(r"[?#].*", _HIDDEN, rest, count=1, flags=re.DOTALL)
    else:
        rest = _PARAMETERS.sub(_HIDDEN, rest)
    return f"{scheme}://{rest}"


def find(url: str) -> list[Object]:
    """Find the objects that `url` means: one, those below a folder (its name ends in ``/``, or is a prefix), or a glob.

    An object of a web server is not asked for before it is read. Order is that of the listing.

    Raises:
        InputError: if this kind of URL cannot be read here.
        FileNotFoundError: if there is none.
        OSError: if the place cannot be listed; its strerror says why.
    """
    system, path = _system(url)
    if _scheme(url) in _WEB:
        return _find_on_web(system, path)
    with _told():
        return _find_in_store(system, url, path)


def open_object(url: str) -> BinaryIO:
    """Open the object at `url`: read-only, seekable, from its first byte.

    Raises:
        OSError: if it cannot be opened; its strerror says why, and where it lies. Reading raises the same.
    """
    if _HIDDEN in url:
        raise PermissionError(
            errno.EACCES, f"the query of its URL was not kept; name it again, or give --inputs DIR: {url}"
        )
    try:
        system, path = _system(url)
    except InputError as problem:
        raise OSError(errno.EPROTONOSUPPORT, f"{problem.message}: {problem.hint}") from None
    shown = redact(url)
    raw = _WebObject(system, path, shown) if _scheme(url) in _WEB else _StoredObject(system, path, shown)
    return io.BufferedReader(raw, 1 << 17)


def size_of(url: str) -> int | None:
    """How many bytes the object at `url` has; None if nobody says."""
    try:
        system, path = _system(url)
        with _told():
            size = system.info(path)["size"]
    except (InputError, OSError):
        return None
    return size if isinstance(size, int) else None


# Which objects are meant.


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _system(url: str) -> tuple[Any, str]:
    """The file system of `url`, and the path by which it knows what lies there."""
    if _CHAIN.match(url):
        raise InputError(
            f"chained URLs are not read: {_scrub(url)}", hint="name the object; archives are opened as they are"
        )
    scheme = _scheme(url)
    url = scheme + url[len(scheme) :]
    try:
        import fsspec  # type: ignore[import-untyped]  # noqa: PLC0415 - it comes with an extra
    except ImportError:
        raise InputError(f"reading {redact(url)} needs more packages", hint=EXTRA) from None
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ValueError:
        raise InputError(f"no such kind of URL: {scheme}://", hint="such as s3://bucket/logs/ or https://…") from None
    except ImportError as problem:
        hint = EXTRA if scheme in {*_WEB, "s3", "s3a"} else str(problem)
        raise InputError(f"reading {redact(url)} needs more packages", hint=hint) from None
    options: dict[str, Any] = {}
    if scheme in _WEB:
        try:
            urlsplit(url)
            options = _web_options(fsspec.config.conf)
        except ValueError as problem:
            raise InputError(f"no URL: {redact(url)}", hint=str(problem)) from None
        # As given, save for what cannot stand in a URL: a signature must not be spelled anew.
        url = quote(url.partition("#")[0], safe="!#$%&'()*+,/:;=?@[]~")
    elif scheme in {"s3", "s3a"}:
        options = {"use_listings_cache": False}
    with _told():
        system = fsspec.filesystem(scheme, **options, **kind._get_kwargs_from_urls(url))  # noqa: SLF001 - as its own open does
        return system, kind._strip_protocol(url)  # noqa: SLF001


def _web_options(configured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Options for web servers: bytes as they lie there, proxies of the environment, no limit on the whole."""
    import aiohttp  # noqa: PLC0415 - it comes with an extra

    client = {
        **configured.get("http", {}).get("client_kwargs", {}),
        **configured.get("https", {}).get("client_kwargs", {}),
    }
    client.setdefault("trust_env", True)
    client.setdefault("timeout", aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60))
    client["headers"] = {**client.get("headers", {}), "Accept-Encoding": "identity"}
    client["auto_decompress"] = False
    return {"client_kwargs": client, "encoded": True, "simple_links": False}


def _find_in_store(system: Any, url: str, path: str) -> list[Object]:
    if not path.strip("/") and _scheme(url) != "memory":
        raise InputError(f"no bucket is named: {redact(url)}", hint="such as s3://bucket/logs/")
    if not url.endswith("/"):
        try:
            kind = system.info(path)["type"]
        except FileNotFoundError:
            kind = None
        if kind == "file":
            return [_object(system, url, path)]
        if kind is None and (magic := re.search(r"[*?\[]", path)):
            return _matches(system, url, path, path.rfind("/", 0, magic.start()) + 1)
    found = _below(system, url.rstrip("/"), path.rstrip("/"))
    if not found:
        raise FileNotFoundError(path)
    return found


def _below(system: Any, url: str, path: str) -> list[Object]:
    names = [name for name in system.find(path) if name.startswith(f"{path}/") and not name.endswith("/")]
    return [
        _object(system, url + name[len(path) :], name, below=name.count("/", len(path)), walked=True) for name in names
    ]


def _matches(system: Any, url: str, path: str, fixed: int) -> list[Object]:
    start = url.removesuffix(path[fixed:])
    found: list[Object] = []
    walked: list[str] = []
    for name, info in sorted(system.glob(path, detail=True).items()):
        if name.startswith(tuple(walked)):
            continue
        # What ``**`` matches may be the folder before it: its URL ends where that of any folder does.
        at = start + name[fixed:] if len(name) > fixed else start.removesuffix("/")
        if info["type"] == "directory":
            walked.append(f"{name}/")
            found += _below(system, at, name)
        elif not name.endswith("/"):
            hidden = _hidden(name[fixed:], path[fixed:])
            found.append(_object(system, at, name, below=name.count("/", fixed) + 1 if hidden else 1, walked=hidden))
    if not found:
        if _PARAMETERS.search(url):
            raise _glob_with_query(url)
        raise FileNotFoundError(path)
    return found


def _glob_with_query(url: str) -> InputError:
    return InputError(
        f"a glob with a query is not expanded: {redact(url)}",
        hint="name each object, with its own query; in the name of one object, write * as %2A and [ as %5B",
    )


def _hidden(name: str, pattern: str) -> bool:
    """Whether `name` has a hidden part that `pattern` does not ask for: to be judged as if met below a folder."""
    return "/." in f"/{name}" and "/." not in f"/{pattern}"


def _object(system: Any, url: str, path: str, *, below: int = 1, walked: bool = False) -> Object:
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    server = redact(url).partition("://")[2].partition("/")[0] if protocol != "memory" else ""
    path = path.lstrip("/")
    bare = _PARAMETERS.sub("", path)
    # Some file systems count the bucket as part of the path, others leave the server out of it.
    inner = bare.removeprefix(server).lstrip("/") if bare.startswith(f"{server}/") else bare
    parts = (f"{protocol}://{server}", *inner.split("/"))
    return Object(url, f"{protocol}://{server} {path}", parts, below, walked)


def _find_on_web(system: Any, url: str) -> list[Object]:
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    authority = len(bare) - len(bare.partition("://")[2].partition("/")[2])
    magic = re.search(r"[*\[]", bare[authority:])
    if magic and bare != url:
        raise _glob_with_query(url)
    if magic:
        fixed = bare.rfind("/", 0, authority + magic.start()) + 1
        found = _web_matches(system, bare[:fixed], bare[fixed:])
    elif bare == url and url.endswith("/"):
        found = [_web_object(one, len(_names(one, url)), walked=True) for one in _links(system, url) if one[-1] != "/"]
    else:
        return [_web_object(url)]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "the server lists no files there")
    return found


def _web_matches(system: Any, folder: str, pattern: str) -> list[Object]:
    from fsspec.utils import glob_translate  # type: ignore[import-untyped]  # noqa: PLC0415

    wanted = re.compile(glob_translate(unquote(pattern)))
    depth = None if "**" in pattern else pattern.count("/") + 1
    found: list[Object] = []
    walked: list[str] = []
    for link in sorted(_links(system, folder, depth)):
        names = _names(link, folder)
        if not wanted.match("/".join(names)) or link.startswith(tuple(walked)):
            continue
        if link.endswith("/"):
            walked.append(link)
            below = (one for one in _links(system, link) if not one.endswith("/"))
            found += [_web_object(one, len(_names(one, link)), walked=True) for one in below]
        else:
            hidden = _hidden("/".join(names), pattern)
            found.append(_web_object(link, len(names) if hidden else 1, walked=hidden))
    return found


def _links(system: Any, folder: str, depth: int | None = None) -> Iterator[str]:
    """Files and folders (ending in ``/``) that the listings of a web server name below `folder`."""
    waiting, known = [(folder, 1)], {folder}
    for _ in range(_PAGES):
        if not waiting:
            return
        page, level = waiting.pop()
        with _told():
            links = system.ls(page, detail=False)
        for raw in sorted(links):
            link = html.unescape(raw).replace("/./", "/")
            inside = link.startswith(page) and ".." not in link.split("/")
            # Links that sort the listing, or to a place within a page, name nothing new.
            if not inside or link in known or re.search(r"[?#]|://.*//|:(?!//)", link[len(folder) :]):
                continue
            known.add(link)
            yield link
            if link.endswith("/") and (depth is None or level < depth):
                waiting.append((link, level + 1))
    raise OSError(errno.EFBIG, f"the server lists more than {_PAGES} folders")


def _names(link: str, folder: str) -> list[str]:
    """The names of `link` below `folder`, as people write them."""
    return [unquote(name) for name in link[len(folder) :].rstrip("/").split("/")]


def _web_object(url: str, below: int = 1, *, walked: bool = False) -> Object:
    split = urlsplit(url)
    scheme = split.scheme.lower()
    usual = f":{443 if scheme == 'https' else 80}"
    host = split.netloc.rpartition("@")[2].lower().removesuffix(usual)
    key = f"{scheme}://{host}{quote(unquote(split.path))}?{split.query}"
    names = [unquote(name) for name in split.path.strip("/").split("/") if name]
    return Object(url, key, (f"{scheme}://{host}", *names), below, walked)


# What lies there.


class _Elsewhere(io.RawIOBase):
    """An object that is read by asking for its bytes; `shown` is its URL as it may be said."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self._shown = shown
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        with _told(self._shown):
            data = self._bytes(len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        if base is None:
            with _told(self._shown):
                base = self._end()
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def _bytes(self, count: int) -> bytes:
        """At most `count` bytes from where it is; none at the end."""
        raise NotImplementedError

    def _end(self) -> int:
        """How many bytes it has."""
        raise NotImplementedError


class _StoredObject(_Elsewhere):
    """An object of a store, by blocks; the stores' clients see to it that all of them are of one version."""

    def __init__(self, system: Any, path: str, shown: str) -> None:
        super().__init__(shown)
        with _told(shown):
            self._file = system.open(path, "rb", block_size=BLOCK, cache_type="readahead")
            if isinstance(self._file, io.BytesIO):  # of memory://, which hands out the one it keeps
                self._file = io.BytesIO(self._file.getvalue())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _bytes(self, count: int) -> bytes:
        self._file.seek(self._at)
        data: bytes = self._file.read(count)
        return data

    def _end(self) -> int:
        end: int = self._file.seek(0, os.SEEK_END)
        return end


class _WebObject(_Elsewhere):
    """An object of a web server, as one stream.

    Many servers give neither the size nor a range: one stream from the first byte is read from all of them. Elsewhere
    than where the stream is, a range is asked for; without ranges it is read again from the start.
    """

    def __init__(self, system: Any, url: str, shown: str) -> None:
        super().__init__(shown)
        self._system, self._url = system, url
        self._size: int | None = None
        self._version: dict[str, str] = {}
        self._ranges = True
        self._stream: Any = None
        self._stream_at = 0
        with _told(shown):
            self._begin(0)

    def close(self) -> None:
        if not self.closed and self._stream is not None:
            self._stream.close()
        super().close()

    def _bytes(self, count: int) -> bytes:
        if self._at != self._stream_at:
            ahead = self._at - self._stream_at
            if ahead < 0 or (ahead > _SKIP and self._ranges):
                self._begin(self._at)
            self._pass(self._at - self._stream_at)
        return self._take(count) if self._at == self._stream_at else b""

    def _end(self) -> int:
        if self._size is None:
            while self._take(BLOCK):
                pass
            self._size = self._stream_at
        return self._size

    def _begin(self, at: int) -> None:
        """Open the stream at byte `at` or, from a server without ranges, at its start."""
        if self._stream is not None:
            self._stream.close()
        if self._size is not None and at >= self._size:
            self._stream, self._stream_at = None, at
            return
        headers = {
            **self._system.kwargs.get("headers", {}),
            **({"Range": f"bytes={at}-"} if at and self._ranges else {}),
        }
        # A block size of 0 asks for a stream, and a size keeps it from asking the server for one first.
        self._stream = self._system.open(self._url, "rb", block_size=0, size=1, headers=headers)
        answer = self._stream.r
        span = re.match(r"bytes (\d+)-\d+/(\d+)?", answer.headers.get("Content-Range", ""))
        if answer.status == 206 and not (span and int(span[1]) == at):
            raise OSError(errno.EIO, "the server gives another range than was asked for")
        self._ranges = at == 0 or answer.status == 206
        self._stream_at = at if answer.status == 206 else 0
        size = span[2] if span else answer.headers.get("Content-Length")
        said = {"ETag": answer.headers.get("ETag"), "Last-Modified": answer.headers.get("Last-Modified"), "size": size}
        version = {name: value for name, value in said.items() if value is not None}
        if any(self._version.get(name, value) != value for name, value in version.items()):
            raise OSError(errno.ESTALE, "it changed while it was read")
        self._version |= version
        self._size = int(size) if size is not None and size.isdecimal() else self._size

    def _take(self, count: int) -> bytes:
        if self._stream is None or count <= 0:
            return b""
        data: bytes = self._stream.read(count)
        self._stream_at += len(data)
        return data

    def _pass(self, count: int) -> None:
        while count > 0 and (data := self._take(min(count, BLOCK))):
            count -= len(data)


# What went wrong, in words.

_WORDS = (
    ({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "NoAuthTokenError"},
     errno.EACCES, "no credentials for it in the environment"),
    ({"FileExpired"}, errno.ESTALE, "it changed while it was read"),
    ({"TimeoutError", "FSTimeoutError", "ConnectTimeoutError", "ReadTimeoutError"},
     errno.ETIMEDOUT, "the server did not answer in time"),
    ({"ClientConnectorCertificateError", "ClientConnectorSSLError", "SSLError"},
     errno.ECONNREFUSED, "the server's certificate is not accepted"),
    ({"ClientConnectorError", "EndpointConnectionError", "ProxyConnectionError"},
     errno.ECONNREFUSED, "no connection to the server"),
    ({"ClientConnectionError", "ClientPayloadError", "ConnectionClosedError", "HTTPClientError", "IncompleteReadError",
      "ResponseStreamingError"}, errno.ECONNRESET, "the connection to the server ended early"),
    ({"InvalidURL", "ParamValidationError"}, errno.EINVAL, "no address that a server could be asked for"),
    ({"FileNotFoundError"}, errno.ENOENT, "no such object"),
    ({"PermissionError"}, errno.EACCES, "access denied"),
    ({"IsADirectoryError"}, errno.EISDIR, "a folder, no object"),
)  # fmt: skip
"""Classes by name, since each comes from a package that may not be there; the first that fits."""


@contextmanager
def _told(shown: str | None = None) -> Iterator[None]:
    """Turn whatever a file system raises into an OSError that says in words what is the matter, and no secret.

    Args:
        shown: the URL of the object that it is about, as it may be said; null where it is said anyhow.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as problem:  # noqa: BLE001 - each client has exceptions of its own
        number, words = _in_words(problem)
        if shown is not None:
            # The client for web servers says only by its class that the answer was 404.
            answered = isinstance(problem, FileNotFoundError) and _scheme(shown) in _WEB
            words += f"{' (HTTP 404)' if answered else ''} at {shown}"
        raise OSError(number, words) from None


def _in_words(problem: Exception) -> tuple[int, str]:
    """The number of an OSError for `problem`, and what it says."""
    status = getattr(problem, "status", None)
    if isinstance(status, int) and status >= 400:
        number = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT}.get(status, errno.EIO)
        words = {errno.EACCES: "access denied", errno.ENOENT: "no such object"}.get(
            number, "the server answered with an error"
        )
        return number, f"{words} (HTTP {status})"
    kinds = {kind.__name__ for kind in type(problem).__mro__}
    for classes, number, words in _WORDS:
        if kinds & classes:
            return number, words
    said = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return getattr(problem, "errno", None) or errno.EIO, _scrub(str(said))


def _scrub(text: str) -> str:
    """Return `text` with every URL in it redacted."""
    return _URL_IN_TEXT.sub(lambda found: redact(found[0]), text)
