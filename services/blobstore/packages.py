"""Extension packages as real zip archives of an exact size.

The bytes depend only on the package's name, so every region, seed and machine serves the same package with the same
MD5.
"""

import hashlib
import io
import json
import zipfile

MANIFEST = "HandlerManifest.json"
PAYLOAD = "bin/payload"
SIZE_MIN_BYTES = 1024
SIZE_MAX_BYTES = 16 * 2**20  # built in memory; larger blobs are uploaded
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def build(publisher: str, type_: str, version: str, size_bytes: int) -> bytes:
    """An uncompressed zip of exactly `size_bytes` with a handler manifest and a payload.

    Raises:
        ValueError: `size_bytes` is too small for the archive's frame.
    """
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
