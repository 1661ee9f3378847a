"""Places: where a file lies, on a local disk or in an object store, and how it is read there.

A location is a path, or `s3://BUCKET/KEY`, or `gs://BUCKET/KEY`. Bytes are read through pyarrow.fs;
what that lacks (ETags, conditional writes) through obstore. Region, endpoint and credentials come
from the environment alone (AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID ..., or
AWS_SKIP_SIGNATURE=true for public buckets; GOOGLE_APPLICATION_CREDENTIALS): no recipe, log or
manifest holds a secret. A store that does not answer is the user's to mend, never a bad record.
"""

import functools
import io
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from launch.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

Location = Path | str
Answer = TypeVar("Answer")

SCHEMES = ("s3", "gs")
# The client's own attempts at a request, and ours around it, where an answer broke off: a store
# that cannot be reached at all is given up after half a minute.
_CLIENT_ATTEMPTS = 3
_ATTEMPTS = 8
_TIMEOUT_SECONDS = 60
_FIRST_WAIT_SECONDS = 0.2
_BUFFER_BYTES = 8 << 20
_WILDCARD = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}")


class Place(NamedTuple):
    """An object in a store, or all of them below a key."""

    scheme: str
    bucket: str
    key: str


class Found(NamedTuple):
    """A file that is there; `identity` changes with its content: size and ETag of an object."""

    location: str
    num_bytes: int
    identity: str


def is_remote(location: Location) -> bool:
    """Whether a location names an object store."""
    return isinstance(location, str) and "://" in location


def join(location: Location, relative: str) -> Location:
    """The location of a file below another one."""
    if is_remote(location):
        return f"{str(location).rstrip('/')}/{relative}"
    return Path(location) / relative


def absolute(location: Location) -> Location:
    """The location as it is the same for a process with another working directory."""
    return location if is_remote(location) else Path(location).resolve()


def parse(location: str) -> Place:
    """Scheme, bucket and key. Raises `UserError` for another scheme, and for a user or a port."""
    scheme, _, rest = location.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket or (":" in bucket):
        # What stands there may be a password: it is not repeated.
        raise UserError(f"a location {scheme}://", "a user or a port in it", _expected(),
                        "credentials and endpoints belong into the environment")  # fmt: skip
    if scheme not in SCHEMES:
        raise UserError("a location", f"'{scheme[:20]}://'", _expected())
    if not _BUCKET.fullmatch(bucket):
        raise UserError("a location", f"'{location[:80]}'", _expected())
    if ".." in key.split("/") or "//" in key or key.startswith("/"):
        raise UserError("a location", f"'{location[:80]}'", "a key without '..' and empty parts")
    return Place(scheme, bucket, key.rstrip("/"))


def find(pattern: str) -> list[Found]:
    """The objects whose location matches a glob, sorted; `**` stands for any depth.

    Keys whose last part begins with a dot are left out. Raises `UserError` if the store refuses.
    """
    place = parse(pattern)
    match = re.compile(_translate(place.key)).fullmatch
    fixed = fixed_part(place.key)
    found = []
    for meta in _list(place._replace(key=fixed)):
        key = meta["path"]
        if match(key) and not key.rpartition("/")[2].startswith("."):
            identity = f"etag:{str(meta['e_tag']).strip(chr(34))}:{meta['size']}"
            location = f"{place.scheme}://{place.bucket}/{key}"
            found.append(Found(location, meta["size"], identity))
    return sorted(found)


def fixed_part(key: str) -> str:
    """The part of a glob's directories that holds no wildcard."""
    parts = key.split("/")[:-1]
    wild = [index for index, part in enumerate(parts) if _WILDCARD.search(part)]
    return "/".join(parts[: wild[0]] if wild else parts)


def sizes(location: str) -> dict[str, int]:
    """Bytes of every object below a location, by key relative to it."""
    place = parse(location)
    start = len(place.key) + 1 if place.key else 0
    return {meta["path"][start:]: meta["size"] for meta in _list(place)}


def open_input(location: str) -> BinaryIO:
    """A file to be read from its beginning; it can seek. Raises OSError for a local file."""
    if is_remote(location):
        return cast("BinaryIO", io.BufferedReader(_RemoteFile(location), _BUFFER_BYTES))
    return Path(location).open("rb")


def open_random(location: str, *, mapped: bool = False) -> "pa.NativeFile":
    """A file to be read in any order, a local one mapped into memory if so wished.

    Raises OSError for a local file.
    """
    import pyarrow as pa

    if is_remote(location):
        return pa.PythonFile(_RemoteFile(location), mode="r")
    # An empty file cannot be mapped.
    if mapped and Path(location).stat().st_size:
        return pa.memory_map(location)
    return pa.OSFile(location)


class _RemoteFile(io.RawIOBase):
    """An object, read by ranges; a range is asked for again if the answer breaks off."""

    def __init__(self, location: str) -> None:
        super().__init__()
        place = parse(location)
        self._location = location
        opened = _filesystem(place.scheme).open_input_file
        try:
            self._file = again(lambda: opened(f"{place.bucket}/{place.key}"), location)
        except FileNotFoundError:
            raise UserError(location, "no such object", "one that is there") from None
        self._size = self._file.size()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        return int(self._size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        position = self._position
        content = again(lambda: self._file.read_at(wanted, position), self._location)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def readall(self) -> bytes:
        # In one request; io's own way would make one of every 8 KiB.
        return self.read(max(0, self._size - self._position)) or b""

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def again(request: Callable[[], Answer], location: str) -> Answer:
    """The answer to a request that may break off; raises `UserError` if it always does.

    What the store has decided is no such case, and is raised: FileNotFoundError, and obstore's
    AlreadyExistsError and PreconditionError.
    """
    from obstore import exceptions as refused

    for attempt in range(_ATTEMPTS):
        try:
            return request()
        except (FileNotFoundError, refused.AlreadyExistsError, refused.PreconditionError):
            raise
        except (PermissionError, refused.PermissionDeniedError, refused.UnauthenticatedError) as e:
            hint = "credentials, region and endpoint come from the environment"
            raise UserError(location, f"no access ({reason_of(e)})", "access", hint) from None
        except (OSError, refused.BaseError) as e:
            if attempt == _ATTEMPTS - 1:
                got = f"no answer in {_ATTEMPTS} attempts ({reason_of(e)})"
                hint = "credentials, region and endpoint come from the environment"
                raise UserError(location, got, "an object store", hint) from None
        time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def reason_of(error: Exception) -> str:
    """The first words of a store's complaint, without addresses that might be signed."""
    return re.sub(r"https?://\S+", "URL", str(error).splitlines()[0])[:160] if str(error) else ""


def _list(place: Place) -> list[Any]:
    import obstore

    def all_pages() -> list[Any]:
        pages = obstore.list(client(place), prefix=place.key or None)
        return [meta for page in pages for meta in page]

    return again(all_pages, f"{place.scheme}://{place.bucket}/{place.key}")


def client(place: Place) -> Any:
    """The obstore client of a bucket."""
    return _client(place.scheme, place.bucket, os.environ.get("AWS_ENDPOINT_URL"))


@functools.cache
def _client(scheme: str, bucket: str, endpoint: str | None) -> Any:
    # The endpoint is a parameter so that a change of the environment makes another client.
    from datetime import timedelta

    from obstore.store import GCSStore, S3Store

    timeout = timedelta(seconds=_TIMEOUT_SECONDS)
    plain = bool(endpoint and endpoint.startswith("http://"))
    options: Any = {"timeout": timeout, "allow_http": plain}
    retries: Any = {"max_retries": _CLIENT_ATTEMPTS, "retry_timeout": timedelta(minutes=1)}
    if scheme == "gs":
        return GCSStore(bucket, client_options=options, retry_config=retries)
    return S3Store(bucket, client_options=options, retry_config=retries)


def _filesystem(scheme: str) -> "pyarrow.fs.FileSystem":
    known = os.environ.get
    region = known("AWS_REGION") or known("AWS_DEFAULT_REGION")
    skip = known("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "yes")
    return _connect(scheme, known("AWS_ENDPOINT_URL"), region, skip, known("AWS_ACCESS_KEY_ID"))


@functools.cache
def _connect(
    scheme: str, endpoint: str | None, region: str | None, anonymous: bool, key: str | None
) -> "pyarrow.fs.FileSystem":
    # What the environment says is a parameter, so that a change of it makes another client.
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem(anonymous=anonymous)
    protocol, _, host = (endpoint or "https://").partition("://")
    return fs.S3FileSystem(
        endpoint_override=host.rstrip("/") or None,
        scheme=protocol,
        region=region,
        anonymous=anonymous,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_CLIENT_ATTEMPTS),
        connect_timeout=_TIMEOUT_SECONDS,
        request_timeout=_TIMEOUT_SECONDS,
    )


def _translate(glob: str) -> str:
    """A glob as a regular expression: `*`, `?` and `[...]` stay within a part of the key."""
    pieces = []
    end = 0
    meanings = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    for found in _WILDCARD.finditer(glob):
        pieces.append(re.escape(glob[end : found.start()]))
        written = found.group()
        pieces.append(meanings.get(written) or written.replace("[!", "[^").replace("\\", "\\\\"))
        end = found.end()
    return "".join([*pieces, re.escape(glob[end:])])


def _expected() -> str:
    return " or ".join(f"{scheme}://BUCKET/KEY" for scheme in SCHEMES)
