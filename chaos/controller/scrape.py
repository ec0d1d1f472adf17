"""Scrapes selected metric families of the running instances."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from compose.runtime import Runtime
from compose.topology import InstanceSpec

TIMEOUT_S = 2.0

ScrapedLabels = Mapping[str, str]
ScrapedRow = tuple[str, ScrapedLabels, float]


async def scrape(
    runtime: Runtime, instances: Iterable[InstanceSpec], names: Collection[str]
) -> dict[str, list[ScrapedRow]]:
    """`(name, labels, value)` of the selected samples by instance, without instances that do not answer."""
    specs = list(instances)
    pages = await asyncio.gather(*(_page(runtime, spec) for spec in specs))
    return {spec.name: list(rows(page, names)) for spec, page in zip(specs, pages, strict=True) if page}


async def _page(runtime: Runtime, spec: InstanceSpec) -> str:
    url = f"{runtime.peers.url(spec.service, spec.region)}/metrics"
    reply = await runtime.http.call("GET", url, timeout_s=TIMEOUT_S)
    return reply.body.decode() if reply.ok else ""


def rows(page: str, names: Collection[str]) -> Iterator[ScrapedRow]:
    """The selected samples of a page. Other lines are skipped before parsing, because a page has hundreds."""
    wanted = [line for line in page.splitlines() if line.split("{", 1)[0].split(" ", 1)[0] in names]
    for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
