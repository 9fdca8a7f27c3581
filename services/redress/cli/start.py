"""What `redress` begins with: loading all commands takes a moment, in which Ctrl-C may come as in any other."""

import sys

EXIT_INTERRUPTED = 130
"""As a shell says of what Ctrl-C ended."""


def start() -> None:
    """Load the commands and run one."""
    try:
        from redress.cli.main import main  # noqa: PLC0415 - here, so that Ctrl-C is caught while it is loaded
    except KeyboardInterrupt:
        sys.stderr.write("redress: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    main()
