"""Azurite as an oracle for reads that succeed or miss: the same generated requests to both, equal answers.

It is no oracle for denied anonymous reads, as it has no such switch. The deliberate differences have a test each at the
end, and `docs/differences.md` gives their reasons.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
import requests
from azure.storage.blob import BlobServiceClient

from compose.local import free_ports
from tests.clients.client_bench import Bench, wait_until

VERSION = "3.35.0"
FOLDER = Path.home() / ".cache" / "aftershock-azurite"
ACCOUNT = "devstoreaccount1"
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public, in its manual
)
REQUESTS = 320
COMPARED = ("Content-Length", "Content-Type", "Content-Range", "Content-MD5", "Accept-Ranges")
AZURE_COMPARED = ("x-ms-blob-type", "x-ms-error-code", "x-ms-meta-kind", "x-ms-lease-state", "x-ms-lease-status")
BLOBS = {"a.txt": 1, "b.bin": 1000, "dir/one.bin": 70_000, "dir/two.bin": 5, "dir/sub/three": 64, "z z.txt": 12}
CALLER = requests.Session()
"""Keeps its connections: to open one takes longer than most answers."""
SENT = {"x-ms-version": "2021-12-02", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Ask:
    """A request; `{etag}` in a header stands for the blob's own, which differs by server."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    blob: str = ""


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of Azurite's account."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so Azurite cannot be either")
    program = FOLDER / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        command = [npm, "install", "--prefix", str(FOLDER), f"azurite@{VERSION}", "--no-audit", "--no-fund"]
        subprocess.run([*command, "--ignore-scripts"], check=True, capture_output=True, timeout=110)
    port = free_ports(1)[0]
    place = str(tmp_path_factory.mktemp("azurite"))
    options = ["--blobPort", str(port), "--location", place, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    process = subprocess.Popen([str(program), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    try:
        wait_until(lambda: _listens(url), "Azurite answers", 60)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _listens(url: str) -> bool:
    try:
        return bool(requests.get(url, timeout=2).status_code)
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def both(bench: Bench, azurite: str) -> Iterator[tuple[str, str]]:
    """Our account and Azurite's, with the same blobs."""
    rng = Random(3)
    contents = {name: rng.randbytes(size) for name, size in BLOBS.items()}
    bench.admin("PUT", ACCOUNT, json={"public": True})
    bench.admin("PUT", f"{ACCOUNT}/same", json={"access": "Container"})
    with BlobServiceClient(azurite, {"account_name": ACCOUNT, "account_key": KEY}) as client:
        container = client.create_container("same", public_access="container")
        for name, content in contents.items():
            headers = {"x-ms-meta-kind": "test", "Content-Type": "application/octet-stream"}
            bench.admin("PUT", f"{ACCOUNT}/same/{name}", data=content, headers=headers)
            container.upload_blob(name, content, metadata={"kind": "test"})
    yield f"{bench.url('blobstore')}/{ACCOUNT}", azurite
    CALLER.close()
    bench.admin("DELETE", ACCOUNT)


def generate(count: int) -> list[Ask]:
    rng = Random(11)
    makers = (_read, _read, _ranged, _ranged, _conditional, _listing, _missing)
    return [rng.choice(makers)(rng) for _ in range(count)]


def _read(rng: Random) -> Ask:
    return Ask(rng.choice(["GET", "HEAD"]), f"/same/{rng.choice(sorted(BLOBS))}")


def _ranged(rng: Random) -> Ask:
    name = rng.choice(sorted(BLOBS))
    size = BLOBS[name]
    start = rng.randrange(size)
    end = rng.choice(["", str(rng.randrange(start, size)), str(size + rng.randrange(100))])
    return Ask("GET", f"/same/{name}", headers={rng.choice(["Range", "x-ms-range"]): f"bytes={start}-{end}"})


def _conditional(rng: Random) -> Ask:
    name = rng.choice(sorted(BLOBS))
    dates = ["Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"]
    headers = rng.choice(
        [
            {"If-Match": rng.choice(["{etag}", '"0x1"', "*"])},
            {"If-None-Match": rng.choice(["{etag}", '"0x1"'])},
            {"If-Modified-Since": rng.choice(dates)},
            {"If-Unmodified-Since": rng.choice(dates)},
        ]
    )
    return Ask(rng.choice(["GET", "HEAD"]), f"/same/{name}", headers=headers, blob=name)


def _listing(rng: Random) -> Ask:
    query = {"restype": "container", "comp": "list"}
    if rng.random() < 0.6:
        query["prefix"] = rng.choice(["", "dir/", "d", "dir/sub/", "nothing", "z"])
    if rng.random() < 0.5:
        query["delimiter"] = "/"
    if rng.random() < 0.5:
        query["maxresults"] = str(rng.randint(1, 7))
    if rng.random() < 0.3:
        query["include"] = "metadata"
    return Ask("GET", "/same", query)


def _missing(rng: Random) -> Ask:
    return Ask(rng.choice(["GET", "HEAD"]), f"/same/{rng.choice(['nothing', 'dir', 'dir/nothing', 'A.TXT'])}")


def send(base: str, ask: Ask) -> requests.Response:
    etag = CALLER.head(f"{base}/same/{ask.blob}", headers=SENT, timeout=10).headers["ETag"] if ask.blob else ""
    headers = {name: value.replace("{etag}", etag) for name, value in ask.headers.items()}
    return CALLER.request(ask.method, base + ask.path, params=ask.query, headers={**SENT, **headers}, timeout=10)


def summary(ask: Ask, answer: requests.Response) -> dict[str, object]:
    """What must be equal."""
    if ask.query:
        return {"status": answer.status_code, "listing": _listed(answer.content)}
    names = [*COMPARED, *AZURE_COMPARED]
    if answer.status_code not in (200, 206):
        names = ["x-ms-error-code"]
    if answer.status_code == 200 and ask.method == "HEAD":
        names.remove("Accept-Ranges")
    found: dict[str, object] = {name: answer.headers.get(name) for name in names}
    body = answer.content if answer.status_code in (200, 206) else _code(answer.content)
    return {"status": answer.status_code, "body": body, "etag": "ETag" in answer.headers, **found}


def _code(content: bytes) -> str | None:
    return ElementTree.fromstring(content).findtext("Code") if content else None


def _listed(content: bytes) -> list[object]:
    root = ElementTree.fromstring(content)
    rows: list[object] = []
    for item in root.iterfind("Blobs/*"):
        size, kind = item.findtext("Properties/Content-Length"), item.findtext("Metadata/kind")
        rows.append((item.tag, item.findtext("Name"), size, kind))
    return [*rows, bool(root.findtext("NextMarker")), root.findtext("Prefix"), root.findtext("MaxResults")]


def test_generated_requests_have_equal_answers(both: tuple[str, str]) -> None:
    asks = generate(REQUESTS)
    assert len(asks) >= 300
    different = []
    statuses = set()
    for ask in asks:
        here, there = (summary(ask, send(base, ask)) for base in both)
        statuses.add(here["status"])
        if here != there:
            fields = {name: (here.get(name), there.get(name)) for name in here if here[name] != there.get(name)}
            different.append(f"{ask}: {fields}"[:600])
    assert not different, f"{len(different)} of {len(asks)}:\n" + "\n".join(different[:12])
    assert statuses == {200, 206, 304, 404, 412}


def test_difference_a_range_at_the_end_is_416_here(both: tuple[str, str]) -> None:
    here, there = (send(base, Ask("GET", "/same/a.txt", headers={"Range": "bytes=1-5"})) for base in both)
    assert (here.status_code, here.headers["Content-Range"]) == (416, "bytes */1")
    assert there.status_code == 206


def test_difference_a_whole_blob_has_its_md5_in_one_header_only(both: tuple[str, str]) -> None:
    here, there = (send(base, Ask("GET", "/same/b.bin")) for base in both)
    assert here.headers["Content-MD5"] == there.headers["Content-MD5"]
    assert ["x-ms-blob-content-md5" in answer.headers for answer in (here, there)] == [False, True]


def test_difference_a_304_has_no_content_type(both: tuple[str, str]) -> None:
    ask = Ask("GET", "/same/b.bin", headers={"If-None-Match": "{etag}"}, blob="b.bin")
    here, there = (send(base, ask) for base in both)
    assert (here.status_code, there.status_code) == (304, 304)
    assert ["Content-Type" in answer.headers for answer in (here, there)] == [False, True]
