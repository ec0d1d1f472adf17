"""Readings of a testbed that a test makes up."""

from dataclasses import replace

from chaos.soak.looks import Look

INTERVAL_S = 10.0


def looks(count: int = 37, redis_data: float | None = None, **per_hour: float) -> list[Look]:
    """Containers, and the data in Redis, that begin at 50 MB and grow by so many MB an hour; 37 are six minutes."""
    return [
        Look(
            INTERVAL_S * n,
            {name: 50.0 + rate * n * INTERVAL_S / 3600.0 for name, rate in per_hour.items()},
            redis_data_mb=None if redis_data is None else 50.0 + redis_data * n * INTERVAL_S / 3600.0,
        )
        for n in range(count)
    ]


def troubled(rows: list[Look], *at: int) -> list[Look]:
    return [replace(row, trouble="eastus is down") if n in at else row for n, row in enumerate(rows)]


def with_starts(rows: list[Look], **again_at: int) -> list[Look]:
    """The same looks; a container named in `again_at` has another start from that look on."""
    return [
        replace(row, started={name: f"start {n >= again_at.get(name, 99)}" for name in row.memory_mb})
        for n, row in enumerate(rows)
    ]
