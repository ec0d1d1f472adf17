"""Listing as XML, over HTTP."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.unit.blobstore.blobstore_region import Region

LIST = "/lists/packages?restype=container&comp=list"


@pytest.fixture
async def lists(region: Region) -> Region:
    await region.account("lists", access="Container")
    await region.blob("lists/packages/a.txt", b"hello", x_ms_meta_Build="42", x_ms_blob_content_type="text/plain")
    for name in ("dir/one", "dir/two", "e%20%26%20f"):
        await region.blob(f"lists/packages/{name}", b"x")
    return region


def read(body: bytes) -> tuple[ElementTree.Element, list[str], list[str]]:
    root = ElementTree.fromstring(body)
    prefixes = [element.text or "" for element in root.iterfind("Blobs/BlobPrefix/Name")]
    return root, [element.text or "" for element in root.iterfind("Blobs/Blob/Name")], prefixes


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_listing_names_every_blob_with_its_properties(lists: Region) -> None:
    answer = await lists.get(LIST)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    root, names, _ = read(answer.body)
    assert names == ["a.txt", "dir/one", "dir/two", "e & f"]
    assert root.attrib == {
        "ServiceEndpoint": "http://blobstore-eastus:8080/lists",
        "ContainerName": "packages",
    }
    first = root.find("Blobs/Blob/Properties")
    assert first is not None
    properties = {element.tag: element.text for element in first}
    whole = await lists.get("/lists/packages/a.txt")
    assert properties.pop("Etag") == whole.headers["etag"].strip('"')
    assert properties == {
        "Creation-Time": "Mon, 02 Feb 2026 18:03:00 GMT",
        "Last-Modified": "Mon, 02 Feb 2026 18:03:00 GMT",
        "Content-Length": "5",
        "Content-Type": "text/plain",
        "Content-MD5": whole.headers["content-md5"],
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
        "AccessTier": "Hot",
        "AccessTierInferred": "true",
        "AccessTierChangeTime": "Mon, 02 Feb 2026 18:03:00 GMT",
    }
    assert root.find("Blobs/Blob/Metadata") is None
    assert root.find("NextMarker") is not None
    assert not root.findtext("NextMarker")


async def test_metadata_is_listed_when_asked_for(lists: Region) -> None:
    root, _, _ = read((await lists.get(f"{LIST}&include=metadata,copy")).body)
    assert root.findtext("Blobs/Blob/Metadata/Build") == "42"


async def test_prefix_delimiter_and_pages(lists: Region) -> None:
    assert read((await lists.get(f"{LIST}&prefix=dir/")).body)[1] == ["dir/one", "dir/two"]
    assert read((await lists.get(f"{LIST}&delimiter=/")).body)[1:] == (["a.txt", "e & f"], ["dir/"])
    names, marker = [], ""
    for _ in range(4):
        root, more, _ = read((await lists.get(f"{LIST}&maxresults=1&marker={marker}")).body)
        assert root.findtext("MaxResults") == "1"
        names += more
        marker = root.findtext("NextMarker") or ""
    assert (names, marker) == (["a.txt", "dir/one", "dir/two", "e & f"], "")


async def test_a_listing_starts_where_it_is_told_inclusively(lists: Region) -> None:
    names = ["a.txt", "dir/one", "dir/two", "e & f"]
    for start, expected in (("", names), ("a.txt", names), ("dir/one", names[1:]), ("dir/oneX", names[2:]), ("f", [])):
        assert read((await lists.get(f"{LIST}&startFrom={start}")).body)[1] == expected
    assert read((await lists.get(f"{LIST}&startFrom=dir/two&prefix=dir/")).body)[1] == ["dir/two"]
    assert read((await lists.get(f"{LIST}&startFrom=b&delimiter=/")).body)[1:] == (["e & f"], ["dir/"])
    page, more, _ = read((await lists.get(f"{LIST}&startFrom=dir/one&maxresults=1")).body)
    assert more == ["dir/one"]
    rest = f"{LIST}&startFrom=dir/one&marker={page.findtext('NextMarker')}"
    assert read((await lists.get(rest)).body)[1] == ["dir/two", "e & f"], "the marker goes on from the last page"


async def test_an_empty_container_lists_nothing(region: Region) -> None:
    await region.account("lists", access="Container")
    root, names, prefixes = read((await region.get(LIST)).body)
    assert (names, prefixes) == ([], [])
    assert root.find("Blobs") is not None


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("maxresults=0", "OutOfRangeQueryParameterValue", "maxresults"),
        ("maxresults=-1", "OutOfRangeQueryParameterValue", "maxresults"),
        ("maxresults=many", "InvalidQueryParameterValue", "maxresults"),
        ("maxresults=%C2%B2", "InvalidQueryParameterValue", "maxresults"),
        ("maxresults=--5", "InvalidQueryParameterValue", "maxresults"),
        ("include=metadata,everything", "InvalidQueryParameterValue", "include"),
    ],
)
async def test_a_bad_query_is_named(lists: Region, query: str, code: str, name: str) -> None:
    answer = await lists.get(f"{LIST}&{query}")
    assert (answer.status, answer.code) == (400, code)
    assert f"<QueryParameterName>{name}</QueryParameterName>".encode() in answer.body


async def test_more_than_5000_results_are_cut_to_5000(lists: Region) -> None:
    assert read((await lists.get(f"{LIST}&maxresults=999999")).body)[0].findtext("MaxResults") == "5000"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("restype=account&comp=list", "InvalidQueryParameterValue"),
        ("comp=list", "InvalidQueryParameterValue"),
        ("restype=container&comp=acl", "UnsupportedQueryParameter"),
    ],
)
async def test_other_questions_to_a_container(lists: Region, query: str, code: str) -> None:
    assert (await lists.get(f"/lists/packages?{query}")).code == code


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_container_properties(lists: Region, method: str) -> None:
    answer = await lists.call(method, "/lists/packages?restype=container")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["x-ms-blob-public-access"] == "container"
    assert answer.headers["x-ms-lease-status"] == "unlocked"
    assert answer.headers["x-ms-has-legal-hold"] == "false"
    assert answer.headers["etag"].startswith('"0x8D')


async def test_a_listing_of_a_private_container_needs_a_token(lists: Region) -> None:
    await lists.call("PUT", "/admin/accounts/lists/packages", json={"access": "Blob"})
    assert (await lists.get(LIST)).code == "ResourceNotFound"
    assert read((await lists.call("GET", LIST, bearer=lists.token())).body)[1][0] == "a.txt"
