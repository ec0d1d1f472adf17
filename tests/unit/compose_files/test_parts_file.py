"""compose/docker-compose.parts.yaml gives every process of the testbed the user's parts."""

from typing import Any

import yaml

from compose.render import COMPOSE_FILE
from services.parts import declared

PARTS: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.with_name("docker-compose.parts.yaml").read_text())["services"]
OURS = ("-services", "-controller")
TESTBED: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())["services"]


def test_every_container_of_ours_has_the_folder_and_the_names() -> None:
    assert set(PARTS) == {name for name, one in TESTBED.items() if str(one.get("image", "")).endswith(OURS)}
    for service in PARTS.values():
        assert [mount.rpartition("}")[2] for mount in service["volumes"]] == [":/parts:ro"]
        assert service["environment"][declared.FOLDER] == "/parts"
        assert declared.NAMES in service["environment"][declared.NAMES]


def test_the_controller_keeps_its_packages() -> None:
    assert PARTS["controller"]["environment"]["PYTHONPATH"] == "/opt/controller:/parts"
