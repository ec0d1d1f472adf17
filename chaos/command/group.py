"""The click group of `aftershock`: what a command returns or raises becomes one line and an exit code."""

import errno
import sys
from typing import Any, NoReturn

import click

from chaos.exit_codes import refused
from services.chassis import exit_codes
from services.chassis.exit_codes import BAD_INPUT, say

PROGRAM = "aftershock"


class _Carried(BaseException):
    """Takes what a command raised past click, which would make 1 of a broken pipe and forget which signal it was."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Commands(click.Group):
    """The group of all commands. Whatever happens in one of them, it ends with a code of the table."""

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
        except SystemExit as error:  # click's own, when nobody reads the help
            _broken_pipe(error)


def _explain(error: click.ClickException) -> int:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
    say(command, f"{error.format_message()} (`{command} --help` says more)")
    return BAD_INPUT


def _broken_pipe(error: SystemExit) -> NoReturn:
    raise BrokenPipeError(errno.EPIPE, "the reader has gone", "standard output") from error
