"""On PYTHONPATH, this sets a program's clock back by a day."""

import sys
import time

DAY_SECONDS = 86_400.0
_right = time.time
time.time = lambda: _right() - DAY_SECONDS
print(f"the clock of this process is wrong by {DAY_SECONDS:g} seconds", file=sys.stderr)
