"""A feature built on Actions compute (Copilot, CodeQL, Dependabot, Importer, Pages): it runs as a job on that pool.

It calls neither storage nor the provisioner nor identity; it fails only if it gets no runner.
"""

from typing import Literal

from loadgen.journeys.runner_job import JobParameters, RunnerJobJourney


class DependentJobParameters(JobParameters):
    kind: Literal["dependent_job"]


class DependentJobJourney(RunnerJobJourney):
    """Jobs of one dependent feature in one region."""

    operation = "run_feature"
    timeout_code = "NoRunnerAvailable"
