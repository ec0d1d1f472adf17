"""`aftershock kills`: what was killed and how long it took to heal; exit code 1 when a promise broke."""

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from chaos.kills.desk import Desk, controller_url, operate_token
from chaos.kills.drill import Drill, Kill, Round
from chaos.progress.terminal import table
from compose.docker import DockerRuntime
from compose.render import stack
from services.chassis.exit_codes import CONTRADICTED, EXPECTED
from services.chassis.interrupts import run as run_until_signal


def kills_command(kills: int, seed: int, project: str, console: Console) -> int:
    """Runs the drill against the running testbed, prints the tables; the exit code."""
    rounds = run_until_signal(_drill(kills, seed, project, console))
    console.print(_victims([kill for one in rounds for kill in one.kills]))
    console.print(_rounds(rounds))
    broken = [one.number for one in rounds if one.broken]
    done = sum(len(one.kills) for one in rounds)
    healed = sum(kill.healed_s is not None for one in rounds for kill in one.kills)
    console.print(f"{healed} of {done} killed containers healthy again; {len(broken)} of {len(rounds)} rounds broken")
    return CONTRADICTED if broken or healed < done else EXPECTED


async def _drill(kills: int, seed: int, project: str, console: Console) -> list[Round]:
    runtime = DockerRuntime(project)
    try:
        await runtime.attach(stack())
        desk = Desk(runtime, await operate_token(runtime), await controller_url(runtime))
        return await Drill(desk, seed, lambda line: console.print(line, markup=False, soft_wrap=True)).run(kills)
    finally:
        await runtime.stop()


def _victims(kills: Sequence[Kill]) -> Table:
    rows = table("victim", "kills", "healthy again after (median, worst)", title="kills by service")
    services = sorted({_service(kill.victim) for kill in kills})
    for service in services:
        mine = [kill for kill in kills if _service(kill.victim) == service]
        times = [kill.healed_s for kill in mine if kill.healed_s is not None]
        took = f"{median(times):.1f} s, {max(times):.1f} s" if times else "-"
        rows.add_row(service, str(len(mine)), took if len(times) == len(mine) else f"{took}; NOT ALL")
    return rows


def _service(victim: str) -> str:
    return victim.partition("-")[0]


def _rounds(rounds: Sequence[Round]) -> Table:
    rows = table("round", "kills", "faults", "accepted", *rounds[0].violations, title="rounds")
    for one in rounds:
        found = map(len, one.violations.values())
        numbers = (one.number, len(one.kills), len(one.faults), one.operations + one.orders, *found)
        rows.add_row(*map(str, numbers))
    return rows
