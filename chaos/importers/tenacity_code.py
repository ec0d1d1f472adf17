"""tenacity: the `@retry(…)` decorator of a Python file. The file is parsed, never run.

    stop   stop_after_attempt(n) · stop_after_delay(s) · several with |: the first that holds
    wait   wait_none() · wait_fixed(s) · wait_exponential(multiplier, min, max, exp_base)
           wait_random_exponential(multiplier, max, exp_base) · wait_exponential_jitter(initial, max, exp_base, jitter)
           wait_random(min, max) · + wait_random(0, s)

Without `stop` tenacity retries forever, which is refused; so are sums that no formula here has. Without
stop_after_attempt the layer ends after 100 attempts. Source: tenacity 9.2.1, stop.py, wait.py
(https://github.com/jd/tenacity).
"""

import ast
from collections.abc import Mapping
from math import isfinite

from chaos.importers.reading import ImportRefused, Understood, sdk_layer
from services.chassis.settings import Tree
from services.policies.retry import OWN_ATTEMPTS_MAX

PREDICATES = "which exceptions are retried is the program's; here every refusal and every timeout is"
SILENT = ("reraise", "before", "after", "before_sleep", "retry_error_callback")
REASONS = {
    "retry": PREDICATES,
    "sleep": "the program's own sleep is not modelled",
    "retry_error_cls": "what the program raises is not modelled",
}
STOPS = {"stop_after_attempt": ("max_attempt_number",), "stop_after_delay": ("max_delay",)}
RANDOM, NONE = "wait_random", "wait_none"
WAITS = {
    NONE: (),
    "wait_fixed": ("wait",),
    RANDOM: ("min", "max"),
    "wait_exponential": ("multiplier", "max", "exp_base", "min"),
    "wait_random_exponential": ("multiplier", "max", "exp_base", "min"),
    "wait_exponential_jitter": ("initial", "max", "exp_base", "jitter", "min", "multiplier"),
}
REQUIRED = ("max_attempt_number", "max_delay", "wait")
FOREVER_S = 3600.0


def read(text: str, name: str) -> Understood:
    """The settings of the only `@retry(…)` in a file.

    Raises:
        ImportRefused: there is none or several, or an argument has no equivalent.
    """
    try:
        tree = ast.parse(text, name)
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "retry"]
        if len(found) != 1:
            raise ImportRefused(f"{name}: has {len(found)} calls of retry(…); one is needed")
        return Understood("tenacity", sdk_layer(_layer(found[0])))
    except SyntaxError as error:
        raise ImportRefused(f"{name}:{error.lineno}: not Python: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ImportRefused(f"{name}: nested too deep") from error


def _layer(call: ast.Call) -> Tree:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    for argument in given:
        if argument not in ("stop", "wait", *SILENT):
            raise ImportRefused(f"retry({argument}=…): {REASONS.get(str(argument), 'not modelled')}")
    if call.args:
        raise ImportRefused("retry(…): positional arguments are not understood")
    if "stop" not in given:
        raise ImportRefused("retry(stop=…): missing: tenacity retries for ever, and no run would end")
    limits = [_stop(part) for part in _parts(given["stop"], ast.BitOr)]
    layer: Tree = {"attempts": OWN_ATTEMPTS_MAX}
    for name in {name for limit in limits for name in limit}:
        layer[name] = min(limit[name] for limit in limits if name in limit)
    return {"base_s": 0.0, **layer, **(_waits(given["wait"]) if "wait" in given else {})}


def _parts(node: ast.expr, joined_by: type[ast.operator]) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, joined_by):
        return [*_parts(node.left, joined_by), *_parts(node.right, joined_by)]
    return [node]


def _stop(node: ast.expr) -> Tree:
    name, values = _called(node, "stop", STOPS)
    if name == "stop_after_delay":
        return {"stop_after_s": values["max_delay"]}
    attempts = values["max_attempt_number"]
    if attempts != int(attempts):
        raise ImportRefused(f"stop: {name}({attempts:g}) is no whole number")
    return {"attempts": int(attempts)}


def _waits(node: ast.expr) -> Tree:
    """A wait, or the sum of one and a random one."""
    parts = [_called(part, "wait", WAITS) for part in _parts(node, ast.Add)]
    random_ = [values for name, values in parts if name == RANDOM]
    others = [(name, values) for name, values in parts if name not in (RANDOM, NONE)]
    layer = _wait(*others[0]) if others else {}
    if len(random_) > 1 or len(others) > 1 or (random_ and "added_s" in layer):
        raise ImportRefused(f"wait: {ast.unparse(node)}: only the sum of a wait and one wait_random is modelled")
    for values in random_:
        low, high = values.get("min", 0.0), values.get("max", 1.0)
        if low > high:
            raise ImportRefused(f"wait: wait_random({low:g}, {high:g}): min is above max")
        if low and "growth" in layer:
            raise ImportRefused("wait: wait_random with min above 0 beside a growing wait is not modelled")
        layer = {**layer, "added_s": high - low, "base_s": layer.get("base_s", 0.0) + low}
    return layer


def _wait(name: str, values: dict[str, float]) -> Tree:
    if name == "wait_fixed":
        return {"base_s": values["wait"]}
    if values.get("initial", 1.0) != 1.0 and values.get("multiplier", 1.0) != 1.0:
        raise ImportRefused(f"wait: {name}: has both initial and multiplier")
    initial = values.get("initial", 1.0)
    layer: Tree = {
        "base_s": values.get("multiplier", 1.0) if initial == 1.0 else initial,
        "growth": "exponential",
        "multiplier": values.get("exp_base", 2.0),
        "max_s": min(values.get("max", FOREVER_S), FOREVER_S),
        "min_s": values.get("min", 0.0),
    }
    if name == "wait_exponential":
        return layer
    if layer["min_s"]:
        raise ImportRefused(f"wait: {name} with min is not modelled")
    if name == "wait_random_exponential":
        return {**layer, "jitter": "full"}
    return {**layer, "added_s": values.get("jitter", 1.0), "max_last": True}


def _called(node: ast.expr, what: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, float]]:
    """The name of a strategy, and its arguments as numbers."""
    name = _name(node.func) if isinstance(node, ast.Call) else ast.unparse(node)
    if not isinstance(node, ast.Call) or name not in known:
        raise ImportRefused(f"{what}: {name} is not modelled; known: {', '.join(known)}")
    if len(node.args) > len(known[name]):
        raise ImportRefused(f"{what}: {ast.unparse(node)} has too many arguments")
    pairs = [*zip(known[name], node.args, strict=False), *((str(one.arg), one.value) for one in node.keywords)]
    values = {argument: _number(f"{what}: {name}", argument, value, known[name]) for argument, value in pairs}
    for argument in known[name]:
        if argument in REQUIRED and argument not in values:
            raise ImportRefused(f"{what}: {name} needs {argument}")
    return name, values


def _number(where: str, argument: str, node: ast.expr, known: tuple[str, ...]) -> float:
    if argument not in known:
        raise ImportRefused(f"{where}({argument}=…) is unknown")
    try:
        value = ast.literal_eval(node)
        found = float("nan") if isinstance(value, bool | str) else float(value)
    except (ValueError, TypeError, OverflowError):
        found = float("nan")
    if not isfinite(found) or found < 0:
        raise ImportRefused(f"{where}({argument}={ast.unparse(node)}) is no number from 0 up")
    return found


def _name(node: ast.expr) -> str:
    """The last part of a dotted name: `retry` of `tenacity.retry`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
