"""How many recipes are tried: the search, its records and report, and the commands that people type."""

import itertools
import signal
import sys

_COMMAND = sys.argv[:1] == ["-m"] and any(  # a program that uses this package keeps its own Ctrl-C
    option == "-m" and module.startswith("search.") for option, module in itertools.pairwise(sys.orig_argv)
)
if _COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # `python -m search.COMMAND` is importing its modules: until `command.guarded` takes over, Ctrl-C ends it
    # as it ends any program that has done nothing yet, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
