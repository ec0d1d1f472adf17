"""Exit codes of the `aftershock` commands.

    0  as expected        1  contradicted        2  bad input, or not judged        3  a defect of Aftershock
    129, 130, 143         ended by SIGHUP, SIGINT, SIGTERM

The codes are defined in `services.chassis.exit_codes`. This module adds the exceptions of the upper layers that mean
bad input.
"""

from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, DEFECT, EXPECTED, Refused

__all__ = ["BAD_INPUT", "CONTRADICTED", "DEFECT", "EXPECTED", "refused"]


def refused() -> Refused:
    """Exceptions that mean bad input or an unavailable testbed; each has a one-line message."""
    from chaos.controller.serve import ControllerFailed
    from chaos.experiment.baseline import UnhealthyBaseline
    from chaos.experiment.runs import RunFolderError
    from chaos.export.extras import MissingExtra
    from chaos.importers.reading import ImportRefused
    from chaos.record.files import NotWhole
    from chaos.record.record import RecordError
    from chaos.scenarios.loader import ScenarioError
    from compose.runtime import RuntimeUnavailable
    from services.parts.kind import PartError

    return (
        ControllerFailed,
        MissingExtra,
        ImportRefused,
        NotWhole,
        PartError,
        RecordError,
        RunFolderError,
        RuntimeUnavailable,
        ScenarioError,
        UnhealthyBaseline,
    )
