"""`python -m chaos` is `aftershock`. Signal handlers are installed before the rest of the program is imported."""

import sys


def main() -> None:
    from services.chassis import exit_codes

    def command() -> None:
        from chaos.cli import main

        main()

    sys.exit(exit_codes.run("aftershock", command, last=True))


if __name__ == "__main__":
    main()
