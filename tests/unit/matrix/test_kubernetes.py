"""The Kubernetes manifest of docs/cluster.md, against the schema that the dask-kubernetes operator installs."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.api_contract import closed

ROOT = Path(__file__).parents[3]
MANIFEST = ROOT / "docs" / "cluster" / "daskcluster.yaml"
SCHEMA = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The CustomResourceDefinition in the operator's package, in the version that the manifest names."""
    version = re.findall(r"dask-kubernetes operator \(([\d.]+)\)", MANIFEST.read_text())
    folder = tmp_path_factory.mktemp("operator")
    wanted = f"dask-kubernetes=={version[0]}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{wanted} cannot be downloaded: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return yaml.safe_load(wheel.read(SCHEMA))["spec"]


@pytest.mark.long
def test_the_manifest_fits_the_schema_of_the_operator(definition: Any) -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    version = definition["versions"][0]
    assert manifest["apiVersion"] == f"{definition['group']}/{version['name']}"
    assert manifest["kind"] == definition["names"]["kind"]
    spec = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    jsonschema.validate(manifest["spec"], spec)
    manifest["spec"]["worker"]["spec"]["containers"][0]["imagee"] = "misspelt"
    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        jsonschema.validate(manifest["spec"], spec)
