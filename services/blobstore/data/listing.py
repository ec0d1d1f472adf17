"""`comp=list`: the blobs of a container as Azure's `EnumerationResults` XML.

Prefixes come before blobs, as in Azurite; clients read the two separately. The marker is the last name listed.
"""

import re
from collections.abc import Mapping

from services.blobstore import errors
from services.blobstore.data.answers import xml_text
from services.blobstore.errors import BlobError
from services.blobstore.state import Blob, BlobContainer, ListPage, list_page

RESULTS_MAX = 5000
LISTING_HEADERS = {"Content-Type": "application/xml"}
INCLUDES = frozenset(
    {
        "snapshots",
        "metadata",
        "uncommittedblobs",
        "copy",
        "deleted",
        "tags",
        "versions",
        "deletedwithversions",
        "immutabilitypolicy",
        "legalhold",
        "permissions",
    }
)
"""Accepted values of `include`. Only metadata exists here; the others list nothing."""

WHOLE_NUMBER = re.compile(r"-?[0-9]{1,17}")
_CONTENT = (
    ("Content-Encoding", "Content-Encoding"),
    ("Content-Language", "Content-Language"),
    ("Content-Disposition", "Content-Disposition"),
    ("Cache-Control", "Cache-Control"),
)


def list_container(endpoint: str, container: BlobContainer, query: Mapping[str, str]) -> bytes:
    """The requested page (`prefix`, `delimiter`, `marker`, `startFrom`, `maxresults`, `include`).

    Raises:
        BlobError: 400 for a `maxresults` that is not a positive number, or an `include` that Azure does not define.
    """
    results_max = _results_max(query)
    includes = _includes(query)
    names = ("prefix", "delimiter", "marker", "startFrom")
    prefix, delimiter, marker, start_from = (query.get(name, "") for name in names)
    page = list_page(
        container,
        prefix=prefix,
        delimiter=delimiter,
        marker=marker,
        start_from=start_from,
        results_max=results_max,
    )
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<EnumerationResults ServiceEndpoint="{_attribute(endpoint)}" ContainerName="{_attribute(container.name)}">',
        _element("Prefix", prefix),
        _element("Marker", marker),
        f"<MaxResults>{results_max}</MaxResults>",
        _element("Delimiter", delimiter) if delimiter else "",
        *_entries(page, with_metadata="metadata" in includes),
        _element("NextMarker", page.next_marker),
        "</EnumerationResults>",
    ]
    return "".join(parts).encode()


def _results_max(query: Mapping[str, str]) -> int:
    value = query.get("maxresults")
    if value is None:
        return RESULTS_MAX
    if not WHOLE_NUMBER.fullmatch(value):
        raise errors.bad_query("maxresults", value, "It must be a whole number.")
    if int(value) < 1:
        raise BlobError(
            errors.QUERY_OUT_OF_RANGE,
            details={
                "QueryParameterName": "maxresults",
                "QueryParameterValue": value,
                "MinimumAllowed": "1",
                "MaximumAllowed": str(RESULTS_MAX),
            },
        )
    return min(int(value), RESULTS_MAX)


def _includes(query: Mapping[str, str]) -> set[str]:
    asked = {item.strip().lower() for item in query.get("include", "").split(",") if item.strip()}
    unknown = sorted(asked - INCLUDES)
    if unknown:
        raise errors.bad_query("include", unknown[0], f"It must be among {', '.join(sorted(INCLUDES))}.")
    return asked


def _entries(page: ListPage, *, with_metadata: bool) -> list[str]:
    return [
        "<Blobs>",
        *(f"<BlobPrefix>{_element('Name', prefix)}</BlobPrefix>" for prefix in page.prefixes),
        *(_blob(blob, with_metadata=with_metadata) for blob in page.blobs),
        "</Blobs>",
    ]


def _blob(blob: Blob, *, with_metadata: bool) -> str:
    created, modified = blob.created, blob.last_modified
    properties = [
        f"<Creation-Time>{created}</Creation-Time><Last-Modified>{modified}</Last-Modified>",
        f"<Etag>{blob.etag.strip(chr(34))}</Etag><Content-Length>{blob.size}</Content-Length>",
        _element("Content-Type", blob.content.get("Content-Type", "application/octet-stream")),
        f"<Content-MD5>{blob.md5}</Content-MD5>",
        *(_element(tag, blob.content[name]) for tag, name in _CONTENT if name in blob.content),
        "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>",
        "<ServerEncrypted>true</ServerEncrypted><AccessTier>Hot</AccessTier>",
        f"<AccessTierInferred>true</AccessTierInferred><AccessTierChangeTime>{created}</AccessTierChangeTime>",
    ]
    metadata = ""
    if with_metadata and blob.metadata:
        metadata = f"<Metadata>{''.join(_element(key, value) for key, value in blob.metadata.items())}</Metadata>"
    return f"<Blob>{_element('Name', blob.name)}<Properties>{''.join(properties)}</Properties>{metadata}</Blob>"


def _element(name: str, value: str) -> str:
    return f"<{name}>{xml_text(value)}</{name}>" if value else f"<{name}/>"


def _attribute(value: str) -> str:
    return xml_text(value).replace('"', "&quot;")
