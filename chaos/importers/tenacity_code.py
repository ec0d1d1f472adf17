"""tenacity: the `@retry(…)` decorator of a Python file. The file is parsed, never run.

    stop   stop_after_attempt(n) · stop_after_delay(s) · either of both with |
    wait   wait_none() · wait_fixed(s) · wait_exponential(multiplier, min, max, exp_base)
           wait_random_exponential(multiplier, max, exp_base) · wait_exponential_jitter(initial, max, exp_base, jitter)
           + wait_random(0, s)

Without `stop` tenacity retries for ever, which is refused. Source: tenacity 9.2.1, stop.py, wait.py
(https://github.com/jd/tenacity).
"""

import ast
from collections.abc import Mapping
from typing import Any

from chaos.importers.reading import ImportRefused, Understood, sdk_layer
from services.chassis.settings import Tree

PREDICATES = "which exceptions are retried is the program's; here every refusal and every timeout is"
SILENT = ("reraise", "before", "after", "before_sleep", "retry_error_callback")
REASONS = {
    "retry": PREDICATES,
    "sleep": "the program's own sleep is not modelled",
    "retry_error_cls": "what the program raises is not modelled",
}
SIGNATURES = {
    "stop_after_attempt": ("max_attempt_number",),
    "stop_after_delay": ("max_delay",),
    "wait_none": (),
    "wait_fixed": ("wait",),
    "wait_random": ("min", "max"),
    "wait_exponential": ("multiplier", "max", "exp_base", "min"),
    "wait_random_exponential": ("multiplier", "max", "exp_base", "min"),
    "wait_exponential_jitter": ("initial", "max", "exp_base", "jitter"),
}
FOREVER_S = 3600.0


def read(text: str, name: str) -> Understood:
    """The settings of the only `@retry(…)` in a file.

    Raises:
        ImportRefused: there is none or several, or an argument has no equivalent.
    """
    try:
        tree = ast.parse(text, name)
    except SyntaxError as error:
        raise ImportRefused(f"{name}:{error.lineno}: not Python: {error.msg}") from error
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "retry"]
    if len(found) != 1:
        raise ImportRefused(f"{name}: has {len(found)} calls of retry(…); one is needed")
    return Understood("tenacity", sdk_layer(_layer(found[0])))


def _layer(call: ast.Call) -> Tree:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    for argument in given:
        if argument not in ("stop", "wait", *SILENT):
            raise ImportRefused(f"retry({argument}=…): {REASONS.get(str(argument), 'not modelled')}")
    if call.args:
        raise ImportRefused("retry(…): positional arguments are not understood")
    if "stop" not in given:
        raise ImportRefused("retry(stop=…): missing: tenacity retries for ever, and no run would end")
    layer: Tree = {}
    for part in _parts(given["stop"], ast.BitOr):
        layer.update(_stop(part))
    if "attempts" not in layer:
        layer["attempts"] = 100
    for part in _parts(given["wait"], ast.Add) if "wait" in given else []:
        layer.update(_wait(part, layer))
    return {"base_s": 0.0, **layer}


def _parts(node: ast.expr, joined_by: type[ast.operator]) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, joined_by):
        return [*_parts(node.left, joined_by), *_parts(node.right, joined_by)]
    return [node]


def _stop(node: ast.expr) -> Tree:
    name, values = _called(node, "stop")
    if name == "stop_after_attempt":
        return {"attempts": int(values["max_attempt_number"])}
    if name == "stop_after_delay":
        return {"stop_after_s": values["max_delay"]}
    raise ImportRefused(f"stop: {name} is not modelled")


def _wait(node: ast.expr, before: Mapping[str, Any]) -> Tree:
    name, values = _called(node, "wait")
    if name == "wait_random":
        low, high = values.get("min", 0.0), values.get("max", 1.0)
        if low and not {"base_s", "growth"}.isdisjoint(before):
            raise ImportRefused("wait: wait_random with min above 0 beside another wait is not modelled")
        return {"added_s": high - low, **({"base_s": low} if low else {})}
    if name == "wait_none":
        return {}
    if name == "wait_fixed":
        return {"base_s": values["wait"]}
    base_s = values.get("initial", values.get("multiplier", 1.0))
    layer: Tree = {
        "base_s": base_s,
        "growth": "exponential",
        "multiplier": values.get("exp_base", 2.0),
        "max_s": min(values.get("max", FOREVER_S), FOREVER_S),
        "min_s": values.get("min", 0.0),
    }
    if name == "wait_random_exponential":
        if layer["min_s"]:
            raise ImportRefused("wait: wait_random_exponential with min is not modelled")
        return {**layer, "jitter": "full"}
    return {**layer, "added_s": values.get("jitter", 1.0)} if name == "wait_exponential_jitter" else layer


def _called(node: ast.expr, what: str) -> tuple[str, dict[str, float]]:
    """The name of a strategy, and its arguments as numbers."""
    name = _name(node.func) if isinstance(node, ast.Call) else ast.unparse(node)
    if not isinstance(node, ast.Call) or name not in SIGNATURES:
        raise ImportRefused(f"{what}: {name} is not modelled; known: {', '.join(SIGNATURES)}")
    pairs = [*zip(SIGNATURES[name], node.args, strict=False), *((str(one.arg), one.value) for one in node.keywords)]
    values: dict[str, float] = {}
    for argument, value in pairs:
        if argument not in SIGNATURES[name]:
            raise ImportRefused(f"{what}: {name}({argument}=…) is unknown")
        try:
            values[argument] = float(ast.literal_eval(value))
        except (ValueError, TypeError) as error:
            raise ImportRefused(f"{what}: {name}({argument}={ast.unparse(value)}) is no number") from error
    return name, values


def _name(node: ast.expr) -> str:
    """The last part of a dotted name: `retry` of `tenacity.retry`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
