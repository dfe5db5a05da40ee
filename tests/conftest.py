"""What every test can rely on, however the tests were started."""

import signal

# A shell starts what runs in the background (`make test &`) with SIGINT ignored, and ignored it stays in every child:
# no Ctrl-C that a test sends would arrive.
signal.signal(signal.SIGINT, signal.default_int_handler)
