"""Where the command `frontdesk` begins."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 for a failure, 2 for wrong settings or usage,
    130 after Ctrl-C."""
    try:
        from cli.verbs import run  # takes a moment, in which Ctrl-C is to show no traceback

        return run(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
