"""The settings section `tracing`. Apart from the code that needs OpenTelemetry: an untraced run does not import it."""

from typing import Literal

from pydantic import Field

from services.chassis.settings import Settings

KeepReason = Literal["failed", "attempts", "share"]
"""Why a trace is kept."""


class TracingSettings(Settings):
    """The section `tracing`: whether a run is traced, and which traces it keeps."""

    enabled: bool = False
    """Whether the run is traced."""
    share: float = Field(default=0.01, ge=0, le=1)
    """Share of the operations that neither failed nor took many attempts."""
    attempts_over: int = Field(default=3, ge=1)
    """An operation of which one call took more attempts than this is kept."""
    window_s: float = Field(default=10.0, gt=0)
    """The window of the three bounds below."""
    failed_max: int = Field(default=8, ge=0)
    """Failed operations kept per window."""
    attempts_max: int = Field(default=4, ge=0)
    """Operations with many attempts kept per window."""
    share_max: int = Field(default=4, ge=0)
    """Operations of the share kept per window."""
    spans_max: int = Field(default=1000, ge=1)
    """Spans recorded of one trace; the parts of later ones are not recorded either."""
    open_spans_max: int = Field(default=400_000, ge=1)
    """Spans held of traces that have not ended; beyond it no new operation is traced."""
    file_max_bytes: int = Field(default=64 * 2**20, ge=0)
    """No trace is chosen once the file has this size; those chosen before are still written to their end."""
