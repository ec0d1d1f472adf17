"""Every default, once more: a change of a published number is a decision, not an accident."""

import ast
from collections.abc import Iterator
from inspect import Parameter, getsource, signature
from itertools import pairwise
from typing import Any

import pytest

from services.policies.adaptive_limit import (
    AimdLimit,
    EnvoyGradientLimit,
    Gradient2Limit,
    LimitSettings,
    VegasLimit,
    Windowed,
)
from services.policies.adaptive_throttle import AdaptiveThrottle
from services.policies.admission import AdmissionRamp, Dagor, EnvoyAdmission, PriorityShedding
from services.policies.breaker import BreakerSettings
from services.policies.capacity import ScaleOutSettings
from services.policies.failover import FailoverSettings, RegionHealth
from services.policies.outlier import OutlierSettings
from services.policies.pacing import RequeueSettings
from services.policies.part import Replaceable
from services.policies.queue_discipline import AdaptiveLifo, BoundedWait, Codel, QueueSettings
from services.policies.retry import SDK_NAIVE, WORKFLOW_NAIVE, RetrySettings
from services.policies.retry_budget import (
    AwsQuota,
    BrookerBudget,
    BudgetSettings,
    EnvoyBudget,
    FinagleBudget,
    GrpcThrottle,
)
from services.policies.settings import PolicySettings
from services.policies.token_cache import TokenCacheSettings

SETTINGS: dict[type[PolicySettings], dict[str, Any]] = {
    RetrySettings: {
        "enabled": True,
        "attempts": 4,
        "wait": "exponential",
        "base_s": 0.25,
        "max_s": 2.0,
        "multiplier": 2.0,
        "honour_retry_after": False,
        "stop_after_delay_s": None,
    },
    BudgetSettings: {
        "kind": "off",
        "share": 0.1,
        "retries_per_s_min": 0.3,
        "window_s": 10.0,
        "deposit": 0.1,
        "deposit_on": "success",
        "capacity": 10.0,
    },
    BreakerSettings: {
        "mode": "off",
        "failure_ratio": 0.1,
        "samples_min": 100,
        "window_s": 30.0,
        "consecutive_failures": None,
        "break_s": 5.0,
        "trials": 1,
    },
    QueueSettings: {
        "discipline": "fifo",
        "capacity": 60,
        "evict_oldest": False,
        "interval_s": 0.1,
        "target_s": 0.005,
        "wait_budget_s": 0.5,
    },
    LimitSettings: {"kind": "off", "start": None, "least": None, "most": None, "window_s": 1.0},
    FailoverSettings: {
        "enabled": True,
        "window_s": 10.0,
        "samples_min": 5,
        "overprovisioning": 1.4,
        "alternate_share_max": 1.0,
        "retries_stay_home": False,
    },
    OutlierSettings: {
        "enabled": False,
        "consecutive_failures": 5,
        "base_s": 30.0,
        "max_s": 300.0,
        "ejected_share_max": 0.1,
        "always_one": True,
        "panic_share": 0.5,
        "forgive_s": 10.0,
    },
    RequeueSettings: {"base_s": 10.0, "multiplier": 1.0, "max_s": 120.0, "jitter": 0.0},
    TokenCacheSettings: {
        "enabled": False,
        "margin_s": 300.0,
        "early_lifetime_s": 7200.0,
        "early_retry_s": 30.0,
        "negative_s": 5.0,
        "flight_s": 30.0,
    },
    ScaleOutSettings: {
        "guarded": False,
        "warm_min": 0.9,
        "slow_start_s": 0.0,
        "aggression": 1.0,
        "weight_min": 0.1,
        "unit_s": 1.0,
    },
}

NUMBERS: dict[type, dict[str, Any]] = {
    FinagleBudget: {"share": 0.2, "retries_per_s_min": 10.0, "window_s": 10.0},
    AwsQuota: {"CAPACITY": 500, "new_costs": False},
    GrpcThrottle: {"max_tokens": 10.0, "token_ratio": 0.1},
    EnvoyBudget: {"share": 0.2, "retries_min": 3},
    BrookerBudget: {"COST_MILLI": 1000, "deposit": 0.1, "capacity": 10.0, "at_start": False},
    AdaptiveThrottle: {"k": 2.0, "window_s": 120.0, "enabled": True},
    RegionHealth: {"window_s": 10.0, "samples_min": 5},
    Codel: {"target_s": 0.005, "interval_s": 0.1, "now": 0.0},
    AdaptiveLifo: {"capacity": None, "interval_s": 0.1, "evict_oldest": False},
    BoundedWait: {"workers": 2, "service_s": 0.2, "budget_s": 0.5, "capacity": None},
    AimdLimit: {"BACKOFF_RATIO": 0.9, "TIMEOUT_S": 5.0, "start": 20, "least": 20, "most": 200},
    VegasLimit: {"PROBE_MULTIPLIER": 30, "start": 20, "most": 1000},
    Gradient2Limit: {
        "SMOOTHING": 0.2,
        "QUEUE_SIZE": 4,
        "WARMUP": 10,
        "LONG_WINDOW": 600,
        "TOLERANCE": 1.5,
        "start": 20,
        "least": 20,
        "most": 200,
    },
    EnvoyGradientLimit: {
        "QUANTILE": 0.5,
        "BUFFER": 0.25,
        "INTERVAL_S": 0.1,
        "MEASURE_S": 60.0,
        "MEASURE_REQUESTS": 50,
        "JITTER": 0.15,
        "least": 3,
        "most": 1000,
    },
    Windowed: {"SAMPLES_MIN": 10, "window_s": 1.0},
    AdmissionRamp: {"from_fraction": 0.1, "to_fraction": 0.85, "duration_s": 80.0, "hold_s": 20.0},
    PriorityShedding: {"shed_from": 0.8, "shed_all": 1.0, "enabled": True},
    Dagor: {
        "WINDOW_S": 1.0,
        "REQUESTS_MAX": 2000,
        "ALPHA": 0.05,
        "BETA": 0.01,
        "threshold_s": 0.020,
        "now": 0.0,
        "enabled": True,
    },
    EnvoyAdmission: {
        "window_s": 30.0,
        "success_min": 0.95,
        "rps_min": 0.0,
        "rejection_max": 0.8,
        "aggression": 1.0,
        "enabled": True,
    },
}
"""The constants of a policy, and the defaults of its arguments."""


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__name__)
def test_settings_have_these_defaults(model: type[PolicySettings]) -> None:
    replaceable = {"part": "", "options": {}} if issubclass(model, Replaceable) else {}
    assert model().model_dump() == {**SETTINGS[model], **replaceable}


def explained(model: type[PolicySettings]) -> Iterator[str]:
    """The fields of a model and its bases that have a string below them."""
    for one in model.__mro__:
        if one.__module__.startswith("services."):
            (definition,) = ast.parse(getsource(one)).body
            assert isinstance(definition, ast.ClassDef)
            for field, below in pairwise(definition.body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    assert isinstance(below.value, ast.Constant)
                    yield ast.unparse(field.target)


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__name__)
def test_each_setting_says_what_it_means(model: type[PolicySettings]) -> None:
    assert set(model.model_fields) - set(explained(model)) == set()


@pytest.mark.parametrize("policy", NUMBERS, ids=lambda policy: policy.__name__)
def test_policies_have_these_numbers(policy: type) -> None:
    constants = {name: value for name, value in vars(policy).items() if name.isupper()}
    parameters = signature(policy).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not Parameter.empty}
    assert {**constants, **defaults} == NUMBERS[policy]


def test_the_named_retry_layers() -> None:
    assert RetrySettings() == SDK_NAIVE
    assert (WORKFLOW_NAIVE.attempts, WORKFLOW_NAIVE.wait, WORKFLOW_NAIVE.base_s) == (3, "fixed", 1.0)
