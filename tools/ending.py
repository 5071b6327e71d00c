"""How a tool ends: what a person can mend is one sentence on stderr and an exit code, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from edge_avsc.errors import ConfigError, EdgeAvscError


def end(main: Callable[[], int | None]) -> NoReturn:
    """Run *main* and end with its exit code, or with that of the command line for an error that names its mend."""
    try:
        sys.exit(main())
    except EdgeAvscError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename} cannot be used ({error.strerror}); check the path.", file=sys.stderr)
        sys.exit(ConfigError.exit_code)
