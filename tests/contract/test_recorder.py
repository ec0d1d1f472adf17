"""Reading a registry in process and scraping its page give the same series with the same numbers."""

import json

import pytest
from aiohttp import web

from chaos.record.recorder import Recorder
from chaos.record.sampler import Sampler
from chaos.record.series import SeriesTable
from compose.virtual.world import VirtualWorld
from services.chassis.clock import Clock
from services.chassis.http import HttpClient
from services.chassis.metrics import CONTENT_TYPE, Metrics
from services.chassis.registry import Instance

NODE = Instance("identity", "eastus", "identity-eastus-1", "http://identity-eastus-1:8080")


class Page:
    """An http client whose only page is that of one registry."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.answers = True

    async def call(self, method: str, url: str, *, timeout_s: float) -> object:
        assert (method, url) == ("GET", "http://identity-eastus-1:8080/metrics")
        page = self.metrics.page()

        class Reply:
            ok = self.answers
            body = page

        return Reply()


def rich_metrics() -> Metrics:
    """Every kind of metric: bare, labelled, histograms with and without buckets, computed, awkward label values."""
    metrics = Metrics()
    metrics.counter("bare_total", "d").inc(3)
    requests = metrics.counter("router_requests_total", "d", ("region", "code"))
    requests.labels("westus", "200").inc(7)
    requests.labels("eastus", 'a "quoted\\ back\nline').inc(0.25)
    metrics.gauge("identity_workers", "d").set(2)
    metrics.histogram("identity_queue_wait_seconds", "d").observe(0.3)
    metrics.histogram("identity_queue_wait_seconds_by", "d", ("class",)).labels("x").observe(120)
    metrics.histogram("other_duration_seconds", "d").observe(4.5)
    metrics.computed_gauge("provisioner_jobs", "d", lambda: [(("queued",), 5.0), (("running",), 1e7)], ("state",))
    return metrics


def recorders(metrics: Metrics) -> tuple[Recorder, Recorder, Page]:
    page = Page(metrics)
    clock = Clock(lambda: 0.0, 1_000.0)
    in_process, over_sockets = Recorder(clock, 1_000.0), Recorder(clock, 1_000.0, http=page)  # type: ignore[arg-type]
    in_process.attach(NODE, metrics)
    over_sockets.attach_page(NODE)
    return in_process, over_sockets, page


def contents(recorder: Recorder) -> dict[str, list[str]]:
    """Numbers as text, so that NaN equals NaN and nothing is nearly equal."""
    keys = [json.dumps([name, labels]) for name, labels in recorder.series.series()]
    return {key: [str(value) for value in recorder.series.values[:, column]] for column, key in enumerate(keys)}


async def test_reading_in_process_and_scraping_give_equal_series() -> None:
    metrics = rich_metrics()
    in_process, over_sockets, _ = recorders(metrics)
    for recorder in (in_process, over_sockets):
        await recorder.sample()
    assert contents(in_process) == contents(over_sockets)
    assert contents(in_process)[
        '["provisioner_jobs", {"instance": "identity-eastus-1", "region": "eastus", '
        '"service": "identity", "state": "running"}]'
    ] == ["10000000.0"]


async def test_they_stay_equal_when_new_label_values_appear() -> None:
    metrics = rich_metrics()
    late = metrics.counter("identity_requests_total", "d", ("operation", "code"))
    in_process, over_sockets, _ = recorders(metrics)
    for code in ("200", "503"):
        for recorder in (in_process, over_sockets):
            await recorder.sample()
        late.labels("token", code).inc()
    for recorder in (in_process, over_sockets):
        await recorder.sample()
    assert contents(in_process) == contents(over_sockets)
    assert over_sockets.increase("identity_requests_total", {}, 0, 0) is not None


async def test_an_exporters_own_labels_win_over_the_targets() -> None:
    in_process, _, _ = recorders(rich_metrics())
    await in_process.sample()
    assert in_process.last("router_requests_total", {"region": "westus"}) == 7
    assert in_process.last("identity_workers", {"region": "eastus", "service": "identity"}) == 2


async def test_buckets_are_kept_for_the_histograms_that_need_them_only() -> None:
    for recorder in recorders(rich_metrics())[:2]:
        await recorder.sample()
        names = set(recorder.series.names)
        assert "identity_queue_wait_seconds_bucket" in names
        assert "other_duration_seconds_bucket" not in names
        assert {"other_duration_seconds_sum", "other_duration_seconds_count"} <= names
        assert not [name for name in names if name.endswith("_created")]


async def test_metrics_that_are_not_selected_are_kept_in_neither() -> None:
    metrics = rich_metrics()
    wanted = {"bare_total", "provisioner_jobs", "router_requests_total"}
    in_process = Sampler(SeriesTable(), names=wanted)
    over_sockets = Sampler(SeriesTable(), Page(metrics), names=wanted)  # type: ignore[arg-type]
    in_process.attach(NODE, metrics)
    over_sockets.attach_page(NODE)
    for sampler in (in_process, over_sockets):
        await sampler.sample(0.0)
        assert set(sampler.table.names) == wanted
        assert sampler.table.last("router_requests_total", {"region": "westus"}) == 7


async def test_an_unreachable_instance_leaves_a_gap_and_not_a_zero() -> None:
    _, recorder, page = recorders(rich_metrics())
    await recorder.sample()
    page.answers = False
    await recorder.sample()
    assert recorder.last("identity_workers", {}) is None
    assert str(recorder.series.values[1, 0]) == "nan"


def test_scraping_without_a_client_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="identity-eastus-1: scraping needs an http client"):
        Recorder(Clock(lambda: 0.0, 0.0), 0.0).attach_page(NODE)


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_served_page_scraped_over_http_equals_the_registry(world: VirtualWorld) -> None:
    metrics = rich_metrics()

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", page)
    await world.serve(app, "identity-eastus-1", 8080)
    clock = Clock(world.loop.time, world.epoch_s)
    over_sockets = Recorder(clock, clock.epoch(), http=HttpClient(world.session("recorder")))
    over_sockets.attach_page(NODE)
    over_sockets.attach_page(Instance("identity", "eastus", "gone", "http://gone:8080"))
    in_process = Recorder(clock, clock.epoch())
    in_process.attach(NODE, metrics)
    for recorder in (in_process, over_sockets):
        await recorder.sample()
    assert contents(in_process) == contents(over_sockets)
