"""The tables of signals and reductions in docs/scenarios.md: `python -m chaos.scenarios.signals_page`."""

from collections.abc import Iterable

from chaos.scenarios.signals import DEFAULT_OVER_S, MEANINGS, SIGNALS, SignalSpec


def signals_table() -> str:
    """Every signal with its unit, labels, reductions and meaning."""
    columns = ("signal", "unit", "labels", "reductions", "samples over", "with size", "meaning")
    return "\n".join([_row(columns), "|" + "---|" * len(columns), *map(_signal, SIGNALS.values())])


def _signal(one: SignalSpec) -> str:
    over = _over(DEFAULT_OVER_S[one.kind])
    scales = "×" if one.scales else "–"
    return _row((f"`{one.name}`", one.unit, ", ".join(one.by), ", ".join(one.reductions), over, scales, one.meaning))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def reductions_table() -> str:
    """Every reduction with its meaning."""
    return "\n".join(["| `how` | value |", "|---|---|", *(f"| `{how}` | {text} |" for how, text in MEANINGS.items())])


def _over(seconds: float) -> str:
    return f"{seconds:g} s" if seconds else "–"


if __name__ == "__main__":
    print(signals_table(), reductions_table(), sep="\n\n")
