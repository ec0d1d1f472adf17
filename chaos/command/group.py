"""The click group of `aftershock`: turns the result or exception of a command into a message and an exit code."""

import errno
import sys
from typing import Any, NoReturn

import click

from chaos.exit_codes import refused
from services.chassis import exit_codes
from services.chassis.exit_codes import BAD_INPUT, say

PROGRAM = "aftershock"


class _Carried(BaseException):
    """Carries an exception of a command past click, which would map a broken pipe to 1 and lose the signal number."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Commands(click.Group):
    """The group of all commands. Every command ends with one of the defined exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (OSError, KeyboardInterrupt, SystemExit) as error:
            raise _Carried(error) from error

    def main(
        self, args: Any = None, prog_name: Any = None, *_more: Any, standalone_mode: bool = True, **options: Any
    ) -> Any:
        def body() -> Any:
            return self._main(args, options)

        if not standalone_mode:
            return body()
        sys.exit(exit_codes.run(PROGRAM, body, refused))

    def _main(self, args: Any, options: dict[str, Any]) -> Any:
        try:
            return super().main(args, PROGRAM, standalone_mode=False, **options)
        except _Carried as carried:
            raise carried.error from carried.error.__cause__
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return BAD_INPUT
        except click.ClickException as error:
            return _explain(error)
        except click.Abort as error:
            raise error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else KeyboardInterrupt from error
        except SystemExit as error:  # raised by click when the reader of the help has closed the pipe
            _broken_pipe(error)


def _explain(error: click.ClickException) -> int:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
    say(command, f"{error.format_message()} (`{command} --help` says more)")
    return BAD_INPUT


def _broken_pipe(error: SystemExit) -> NoReturn:
    raise BrokenPipeError(errno.EPIPE, "the reader has gone", "standard output") from error
