"""`python -m redress.runtime.local.fetch`: the download ahead of the first `redress local up`."""

import sys

from redress.runtime.local import java
from redress.runtime.local.errors import StackError


def main() -> None:
    try:
        java.java()
        java.class_path()
    except StackError as error:
        sys.exit(f"redress: {error.message}")


if __name__ == "__main__":
    main()
