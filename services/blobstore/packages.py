"""Extension packages as real zip archives of an exact size.

Their bytes follow from the package's name alone, so that a re-seeded region, another seed and another machine serve
the same package with the same MD5.
"""

import hashlib
import io
import json
import zipfile

MANIFEST = "HandlerManifest.json"
PAYLOAD = "bin/payload"
SIZE_MIN_BYTES = 1024
SIZE_MAX_BYTES = 16 * 2**20  # made in memory; larger blobs are uploaded
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def build(publisher: str, type_: str, version: str, size_bytes: int) -> bytes:
    """A stored (uncompressed) zip with a handler manifest and a payload that fills it up to `size_bytes`."""
    manifest = json.dumps(
        {"publisher": publisher, "type": type_, "version": version, "handlerManifest": {"installCommand": PAYLOAD}},
        sort_keys=True,
    ).encode()
    frame = len(_archive(manifest, b""))
    if size_bytes < frame:
        raise ValueError(f"a package of {publisher}.{type_} needs at least {frame} bytes, not {size_bytes}")
    payload = hashlib.shake_256(f"{publisher}.{type_}/{version}".encode()).digest(size_bytes - frame)
    return _archive(manifest, payload)


def _archive(manifest: bytes, payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EARLIEST), manifest)
        archive.writestr(zipfile.ZipInfo(PAYLOAD, _EARLIEST), payload)
    return buffer.getvalue()
