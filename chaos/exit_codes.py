"""The exit code of every `aftershock` command, chosen in one place; the table is the chassis's.

    0  as expected        1  contradicted        2  bad input, or could not be judged        3  a defect of ours
    129, 130, 143         ended by SIGHUP, SIGINT, SIGTERM

Here is only what the layers above the chassis add: which of their exceptions mean bad input.
"""

from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, DEFECT, EXPECTED, Refused

__all__ = ["BAD_INPUT", "CONTRADICTED", "DEFECT", "EXPECTED", "refused"]


def refused() -> Refused:
    """Exceptions that mean bad input, or a testbed that cannot be had; their texts say what, in one line each."""
    from chaos.controller.serve import ControllerFailed
    from chaos.experiment.baseline import UnhealthyBaseline
    from chaos.experiment.runs import RunFolderError
    from chaos.record.files import NotWhole
    from chaos.record.record import RecordError
    from chaos.scenarios.loader import ScenarioError
    from compose.runtime import RuntimeUnavailable

    return ControllerFailed, NotWhole, RecordError, RunFolderError, RuntimeUnavailable, ScenarioError, UnhealthyBaseline
