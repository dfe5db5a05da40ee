"""`python -m badgateway`, and the console script `badgateway`: the command line, interruptible from its first moment.

Imports take a tenth of a second. A Ctrl-C in that time would find Python's own handler, which answers with a
traceback; nothing has been started then, so the process just ends, with 130. Once it may have started something, a
signal closes that first.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line in `sys.argv` and exit with the contract's code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is not where somebody has it ignored
        signal.signal(signal.SIGINT, _leave)
    from badgateway.cli import run  # noqa: PLC0415 (what takes long)
    from badgateway.session.early import ignore_signals, interrupt_anywhere  # noqa: PLC0415
    from badgateway.session.exits import Interrupted  # noqa: PLC0415

    try:
        interrupt_anywhere()
        code = run()
    except Interrupted:
        code = INTERRUPTED
    ignore_signals()
    sys.exit(code)


def _leave(_signum: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)  # an exception could be lost or wrapped: this may be in the midst of an import


if __name__ == "__main__":
    main()
