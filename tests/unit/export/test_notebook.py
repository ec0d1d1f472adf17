"""The example notebook runs."""

from pathlib import Path

import pytest

from chaos.export.tables import ExportedRun
from tests.unit.export.small_run import SMALL_RUN

NOTEBOOK = Path(__file__).parents[3] / "docs" / "notebook.ipynb"


@pytest.mark.xdist_group(SMALL_RUN)
@pytest.mark.real_time
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages that start the kernel
def test_the_notebook_shows_what_it_says(run: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat  # only the worker that gets this file has to load it
    from nbclient import NotebookClient

    monkeypatch.setenv("AFTERSHOCK_RUN", str(run.record.folder))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "\n".join(
        output["data"].get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    )
    assert f"<Record small seed 1, {run.verdict.status}>" in shown
    assert str(run.verdict.figures["peak_attempts_per_s"]) in shown
    assert "identity-eastus-1" in shown
    assert "success_ratio" in shown
