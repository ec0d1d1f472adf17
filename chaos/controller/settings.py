"""Settings of the controller, from `AFTERSHOCK_<NAME>`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from loadgen.settings import Profile
from services.chassis.environment import HttpAddress
from services.chassis.settings import Settings
from services.policies.settings import contradiction

TOKEN_FILE = ".controller-tokens.json"
"""In the folder of runs: the tokens that the controller generated."""


class ControllerSettings(Settings):
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8090, ge=0, le=65535)
    project: str = Field(default="aftershock", description="the compose project that it controls")
    operate_token: str = Field(default="", repr=False, description="token for all calls; generated if empty")
    read_token: str = Field(default="", repr=False, description="token for read calls; generated if empty")
    load: Profile = Field(default="base", description="the load of the idle testbed")
    webhook_url: HttpAddress = Field(default="", description="destination of Service Health messages; empty: none")
    secret_file: Path | None = Field(default=None, description="file with the project secret for Alertmanager")
    runs: Path = Path("runs")
    scenario: str = Field(default="azure-fnj8-vqz-short", description="scenario that defines regions, nodes and load")

    @model_validator(mode="after")
    def _readers_do_not_operate(self) -> Self:
        if self.read_token and self.read_token == self.operate_token:
            raise contradiction("read_token", "should differ from AFTERSHOCK_OPERATE_TOKEN", "the same")
        return self

    @property
    def address(self) -> str:
        """Host and port for a URL, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
