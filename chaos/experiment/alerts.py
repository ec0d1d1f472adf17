"""Alert rules. Declared once in `alerts.yaml`, evaluated in every run, and written as Prometheus rule files.

A rule that fires here at bench second t fires in Prometheus within one evaluation interval of t: same windows, same
`for`, same `keep_firing_for`, and both count counters from 0. The outage rules scale with the detection pace of the
scenario. Prometheus cannot change a duration at run time, so there is one rule file for each pace in use, and the
metric `controller_detection_pace` selects the active one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from chaos.record.series import Group, Samples
from chaos.scenarios.document import DocumentError, read
from services.chassis.events import Events
from services.chassis.settings import complaints

ALERTS_FILE = Path(__file__).with_suffix(".yaml")
RULES_FOLDER = Path(__file__).parents[2] / "compose" / "prometheus"
RUNBOOK = "docs/runbook.md"
PACES = (1.0, 0.2)
PACE_METRIC = "controller_detection_pace"
GLOBAL = "global"
LIVE = 'run=""'
"""Of the testbed: the series of a run that `aftershock watch` has loaded have a value there."""
WINDOW_MIN_S = 2.0
INTERVAL_S = 1

MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
RecordingRuleName = Annotated[str, StringConstraints(pattern=r"^[a-z]+:[a-z_]+:[a-z_]+$")]


class AlertError(ValueError):
    """The alert file is invalid; the message names file, line and field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Selector(_Part):
    """Selects series by metric name; `where` gives the allowed values of a label."""

    metric: MetricName
    where: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}

    def promql(self) -> str:
        matchers = [_matcher(label, values) for label, values in self.where.items()]
        return f"{self.metric}{{{','.join([*matchers, LIVE])}}}"


def _matcher(label: str, values: Sequence[str]) -> str:
    return f'{label}="{values[0]}"' if len(values) == 1 else f'{label}=~"{"|".join(values)}"'


class AlertTerm(_Part):
    """One comparison. It is true for a group if it is true over every window."""

    record: RecordingRuleName
    of: Selector
    to: Selector | None = None
    windows_s: tuple[Annotated[float, Field(gt=0)], ...] = ()
    now: bool = False
    aggregate: Literal["sum", "max"] = "sum"
    above: float

    @model_validator(mode="after")
    def _has_a_time(self) -> "AlertTerm":
        if self.now == bool(self.windows_s):
            raise ValueError("needs exactly one of `windows_s` and `now`")
        return self

    def values(self, samples: Samples, t: float, window_s: float | None, by: Group) -> dict[Group, float]:
        """The value to compare, for every group that has one."""
        parts = _figures(samples, self.of, t, window_s, by, self.aggregate)
        if self.to is None or not any(parts.values()):
            return parts
        wholes = _figures(samples, self.to, t, window_s, by, self.aggregate)
        return {group: parts.get(group, 0.0) / whole for group, whole in wholes.items() if whole > 0}

    def expressions(self, by: Group) -> dict[str, str]:
        """PromQL expressions by recording-rule name, one per window."""
        windows: Iterable[float | None] = self.windows_s or (None,)
        return {self._name(window): self._promql(window, by) for window in windows}

    def _name(self, window_s: float | None) -> str:
        return self.record if window_s is None else f"{self.record}_rate{duration(window_s)}"

    def _promql(self, window_s: float | None, by: Group) -> str:
        group = f"{self.aggregate} by ({', '.join(by)})" if by else self.aggregate

        def term(selector: Selector) -> str:
            inner = selector.promql()
            if window_s is not None:
                inner = f"{'rate' if self.to else 'increase'}({inner}[{duration(window_s)}])"
            return f"{group} ({inner})"

        return f"{term(self.of)} / {term(self.to)}" if self.to else term(self.of)


def _figures(
    samples: Samples, selector: Selector, t: float, window_s: float | None, by: Group, aggregate: str
) -> dict[Group, float]:
    if window_s is not None:
        return samples.increase(selector.metric, selector.where, t - window_s, t, by)
    if aggregate == "sum":
        return samples.last(selector.metric, selector.where, by)
    largest: dict[Group, float] = {}
    for group, value in samples.last(selector.metric, selector.where, (*by, "instance")).items():
        largest[group[:-1]] = max(value, largest.get(group[:-1], value))
    return largest


class Rule(_Part):
    """An alert rule. It fires for a group once all lines have been true for `for_s` seconds.

    It resolves once they have not all been true for `keep_for_s` seconds (Prometheus' `keep_firing_for`).
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]+$")]
    severity: Literal["page", "ticket"]
    service: Literal["blobstore", "provisioner", "identity", "controller"]
    summary: str
    look_at: str
    claim: str = ""
    by: tuple[Literal["region", "tenant"], ...] = ("region",)
    groups_at_least: Annotated[int, Field(ge=1)] | None = None
    paced: bool = False
    for_s: Annotated[float, Field(ge=0)]
    keep_for_s: Annotated[float, Field(ge=0)] = 0.0
    all: Annotated[tuple[AlertTerm, ...], Field(min_length=1)]

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{self.name.lower()}"

    def at_pace(self, pace: float) -> "Rule":
        """This rule with its times multiplied by `pace`; rules that are not `paced` are unchanged."""
        if not self.paced or pace == 1.0:
            return self
        lines = tuple(
            line.model_copy(update={"windows_s": tuple(max(WINDOW_MIN_S, w * pace) for w in line.windows_s)})
            for line in self.all
        )
        return self.model_copy(update={"for_s": self.for_s * pace, "keep_for_s": self.keep_for_s * pace, "all": lines})

    def holding(self, samples: Samples, t: float) -> dict[Group, float]:
        """The groups for which all lines are true at `t`, with the value of the first line."""
        held: dict[Group, float] | None = None
        for line in self.all:
            for window_s in line.windows_s or (None,):
                figures = line.values(samples, t, window_s, self.by)
                above = {group: value for group, value in figures.items() if value > line.above}
                held = above if held is None else {group: value for group, value in held.items() if group in above}
                if not held:
                    return {}
        return held or {}

    def counted(self, holding: dict[Group, float]) -> dict[Group, float]:
        """With `groups_at_least`: one group for all, once there are so many, with their number."""
        if self.groups_at_least is None:
            return holding
        return {(): float(len(holding))} if len(holding) >= self.groups_at_least else {}


@dataclass
class _Condition:
    """State of one rule for one group."""

    since_t: float
    held_t: float
    value: float
    firing: bool = False


class AlertEvaluator:
    """Evaluates all rules at each sample and emits an event when one fires or resolves.

    `pace` is the scenario's `detection_pace`.
    """

    def __init__(self, rules: Sequence[Rule], samples: Samples, events: Events, *, pace: float = 1.0) -> None:
        self.rules = tuple(rule.at_pace(pace) for rule in rules)
        self._samples = samples
        self._events = events
        self._conditions: dict[str, dict[Group, _Condition]] = {rule.name: {} for rule in self.rules}

    def evaluate(self, t: float) -> None:
        """Evaluates all rules at τ = `t`; call it once per sample, in order."""
        for rule in self.rules:
            holding = rule.holding(self._samples, t)
            regions = sorted(group[0] for group in holding if group)
            self._step(rule, rule.counted(holding), regions, t)

    def firing(self) -> list[tuple[str, str]]:
        """(rule, region) of all alerts that are firing."""
        return [
            (name, region_of(group))
            for name, conditions in self._conditions.items()
            for group, condition in sorted(conditions.items())
            if condition.firing
        ]

    def _step(self, rule: Rule, holding: Mapping[Group, float], regions: Sequence[str], t: float) -> None:
        conditions = self._conditions[rule.name]
        for group in sorted(conditions.keys() - holding.keys()):
            over = conditions[group]
            if over.firing and t - over.held_t < rule.keep_for_s:
                continue
            del conditions[group]
            if over.firing:
                self._record(rule, "resolved", group, over.value, [])
        for group, value in sorted(holding.items()):
            condition = conditions.setdefault(group, _Condition(t, t, value))
            condition.held_t, condition.value = t, value
            if not condition.firing and t - condition.since_t >= rule.for_s:
                condition.firing = True
                self._record(rule, "firing", group, value, regions)

    def _record(self, rule: Rule, state: str, group: Group, value: float, regions: Sequence[str]) -> None:
        fields: dict[str, Any] = {
            "name": rule.name,
            "state": state,
            "region": region_of(group),
            "value": round(value, 6),
        }
        if rule.groups_at_least is not None and regions:
            fields["regions"] = list(regions)
        self._events.emit("alert", **fields, severity=rule.severity, service=rule.service)


def region_of(group: Group) -> str:
    """The region that an alert of this group names."""
    return group[0] if group else GLOBAL


class _File(_Part):
    alerts: tuple[Rule, ...]


def default_alerts() -> tuple[Rule, ...]:
    """The built-in rules."""
    return load_rules(ALERTS_FILE)


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Loads the rules from a file.

    Raises:
        AlertError: the file is invalid.
    """
    try:
        document = read(path)
        rules = _File.model_validate(document.values).alerts
    except DocumentError as error:
        raise AlertError(str(error)) from error
    except ValidationError as error:
        lines = [document.message(f["loc"], f["msg"], missing=f["type"] == "missing") for f in complaints(error)]
        raise AlertError("\n".join(lines)) from error
    expressions: dict[str, str] = {}
    for number, rule in enumerate(rules):
        if rule.name in [other.name for other in rules[:number]]:
            raise AlertError(document.message(("alerts", number, "name"), f"{rule.name!r} is defined twice"))
        for position, line in enumerate(rule.all):
            for record, text in line.expressions(rule.by).items():
                if expressions.setdefault(record, text) != text:
                    loc = ("alerts", number, "all", position, "record")
                    raise AlertError(document.message(loc, f"{record} is already defined with another expression"))
    return rules


def duration(seconds: float) -> str:
    """A Prometheus duration: `60s`, `3750ms`."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{seconds * 1000:.0f}ms"


def nearest_pace(pace: float) -> float:
    """The pace in `PACES` closest to `pace`."""
    return min(PACES, key=lambda known: abs(math.log(known / pace)))


def prometheus_rules(pace: float = 1.0) -> str:
    """The text of a Prometheus rule file: recording rules, then the alerts that compare them.

    The file for pace 1 has every rule; the others have only the rules that depend on the pace.
    """
    rules = [rule.at_pace(pace) for rule in default_alerts() if rule.paced or pace == 1.0]
    known = {} if pace == 1.0 else _records(default_alerts())
    records = {name: text for name, text in _records(rules).items() if name not in known}
    suffix = "" if pace == 1.0 else f"-{pace:g}"
    groups = [
        {
            "name": f"aftershock-recording{suffix}",
            "interval": duration(INTERVAL_S),
            "rules": [{"record": name, "expr": text} for name, text in records.items()],
        },
        {
            "name": f"aftershock-alerts{suffix}",
            "interval": duration(INTERVAL_S),
            "rules": [_prometheus_alert(rule, pace) for rule in rules],
        },
    ]
    header = "# Generated from chaos/experiment/alerts.yaml by `python -m chaos.experiment.alerts`; do not edit.\n"
    return header + yaml.safe_dump({"groups": groups}, sort_keys=False, width=1000, allow_unicode=True)


def _records(rules: Sequence[Rule]) -> dict[str, str]:
    return {name: text for rule in rules for line in rule.all for name, text in line.expressions(rule.by).items()}


def _prometheus_alert(rule: Rule, pace: float) -> dict[str, Any]:
    terms = [f"{record} > {line.above:g}" for line in rule.all for record in line.expressions(rule.by)]
    expression = " and ".join(terms)
    if rule.groups_at_least is not None:
        expression = f"count({expression}) >= {rule.groups_at_least}"
    if rule.paced:  # without a controller the metric is absent: then the rules of pace 1 are active
        metric = f"{PACE_METRIC}{{{LIVE}}}"
        held = f"unless on () {metric} != 1" if pace == 1.0 else f"and on () {metric} == {pace:g}"
        expression = f"({expression}) {held}"
    labels = {"severity": rule.severity, "service": rule.service, **({"claim": rule.claim} if rule.claim else {})}
    if not rule.by or rule.groups_at_least is not None:
        labels["region"] = GLOBAL
    texts = {"summary": rule.summary, "description": f"Look at: {rule.look_at}", "runbook_url": rule.runbook}
    return {
        "alert": rule.name,
        "expr": expression,
        "for": duration(rule.for_s),
        **({"keep_firing_for": duration(rule.keep_for_s)} if rule.keep_for_s else {}),
        "labels": labels,
        "annotations": {name: text.replace("{region}", "{{ $labels.region }}") for name, text in texts.items()},
    }


def rule_files(folder: Path = RULES_FOLDER) -> dict[Path, str]:
    """The text of every rule file, by path."""
    return {folder / ("rules.yml" if pace == 1.0 else f"rules-{pace:g}.yml"): prometheus_rules(pace) for pace in PACES}


def write_prometheus_rules(folder: Path = RULES_FOLDER) -> list[Path]:
    """Writes the rule files; creates their folder if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    files = rule_files(folder)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    print(*write_prometheus_rules(), sep="\n")
