"""Settings of the controller, from `AFTERSHOCK_<NAME>`."""

from pathlib import Path

from pydantic import Field

from loadgen.settings import Profile
from services.chassis.settings import Settings


class ControllerSettings(Settings):
    host: str = Field(default="127.0.0.1", min_length=1, description="loopback unless told otherwise")
    port: int = Field(default=8090, ge=0, le=65535)
    project: str = Field(default="aftershock", description="the compose project it may touch, and no other")
    operate_token: str = Field(default="", description="may look and act; generated when empty")
    read_token: str = Field(default="", description="may look; generated when empty")
    load: Profile = Field(default="base", description="the load of the idle testbed")
    webhook_url: str = Field(default="", description="where Service Health messages are forwarded; empty: nowhere")
    secret_file: Path | None = Field(default=None, description="where Alertmanager finds the secret of the project")
    runs: Path = Path("runs")
    scenario: str = Field(default="azure-fnj8-vqz-short", description="its world is the testbed's")

    @property
    def address(self) -> str:
        """Host and port as a URL has them: an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
