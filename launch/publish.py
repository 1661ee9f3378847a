"""Publishing: a finished directory goes to an object store, where only the manifest makes it exist.

Files are uploaded first, under names that hold their digest, so that doing it again finds them
there and two writers never meet. The manifest comes last, in one conditional write: it is created,
or it replaces exactly the manifest that was there at the start (`--force`). Who comes second finds
either the same result, and is up to date, or another, and is refused.
"""

from pathlib import Path
from typing import Any

from launch.errors import LockedError
from launch.log import get_logger
from launch.manifest import FILE_NAME, Manifest, manifest_text, read_manifest
from launch.store import again, client, join, parse, sizes


def committed_tag(location: str) -> str | None:
    """The ETag of the manifest that is there now, None if there is none."""
    import obstore

    place = parse(str(join(location, FILE_NAME)))
    try:
        return str(again(lambda: obstore.head(client(place), place.key), location)["e_tag"])
    except FileNotFoundError:
        return None


def tag_of(location: str, manifest: Manifest) -> str | None:
    """The ETag of the manifest that is there now, if it is this one; None if there is another."""
    tag = committed_tag(location)
    if tag is None:
        return None
    there = read_manifest(location, manifest.kind, manifest.version)
    # A manifest that came between the two requests has another tag, and is not replaced.
    return tag if there.files_digest == manifest.files_digest else None


def publish(directory: Path, manifest: Manifest, location: str, replaces: str | None) -> None:
    """Upload the files of a finished local directory and commit its manifest at `location`.

    `replaces` is what `committed_tag` said before the work began. Raises `LockedError`, naming the
    other's digest, if another writer has committed another result since; `UserError` if the store
    does not answer.
    """
    import obstore

    there = sizes(location)
    for entry in manifest.files:
        if there.get(entry.path) != entry.bytes:
            _upload(directory / entry.path, str(join(location, entry.path)))
    place = parse(str(join(location, FILE_NAME)))
    mode: Any = "create" if replaces is None else {"e_tag": replaces}
    content = manifest_text(manifest).encode()
    try:
        again(lambda: obstore.put(client(place), place.key, content, mode=mode), location)
    except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
        # Perhaps it was we: after an answer that got lost, the request was made again.
        other = read_manifest(location, manifest.kind, manifest.version)
        if other.config_digest == manifest.config_digest and other.files == manifest.files:
            get_logger("launch").info("%s: another writer was first, with the same files", location)
            return
        raise LockedError(
            f"{location}: another writer has committed {other.files_digest}, "
            f"this one made {manifest.files_digest}",
            "--force replaces it; another dataprep.output keeps both",
        ) from None


def _upload(path: Path, location: str) -> None:
    import obstore

    place = parse(location)
    again(lambda: obstore.put(client(place), place.key, path), location)
