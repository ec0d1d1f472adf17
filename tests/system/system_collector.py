"""A collector of OTLP for containers: it keeps what the services of the testbed send."""

import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.contract.traced_world import OneTrace, TracedSpan, spans_of


class Collector(ThreadingHTTPServer):
    """Takes spans on the engine's own bridge: an address that containers of every network reach."""

    daemon_threads = True

    def __init__(self) -> None:
        command = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
        bridge = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        super().__init__((bridge, 0), _Taker)
        self.bodies: list[bytes] = []
        """Requests as they came. They are decoded afterwards: during the run the processors belong to it."""

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def traces(self) -> list[OneTrace]:
        """Every trace of which the first span has ended."""
        found: dict[str, list[TracedSpan]] = defaultdict(list)
        for body in self.bodies:
            request = ExportTraceServiceRequest.FromString(body)
            for span in spans_of(json_format.MessageToDict(request, use_integers_for_enums=True)):
                found[str(span.fields["traceId"])].append(span)
        return [OneTrace(tuple(spans)) for spans in found.values() if any(not span.parent for span in spans)]


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the output belongs to the tests."""


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()
