"""Turn a terminal capture with colours (ANSI) on standard input into a page to take a picture of.

tmux capture-pane -e -p -t demo | python tools/capture.py > /tmp/demo.html
chromium --headless --no-sandbox --window-size=1160,640 --screenshot=docs/images/demo.png /tmp/demo.html
"""

import io
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0c0c0c; }}
pre {{ margin: 18px 22px; font: 14px/1.17 "DejaVu Sans Mono", monospace; color: #dcdcdc; }}
</style><pre>{code}</pre>"""


def main() -> None:
    """Read a capture, write the page."""
    lines = [Text.from_ansi(line) for line in sys.stdin.read().rstrip().splitlines()]
    console = Console(
        record=True, width=max(map(len, lines)), file=io.StringIO(), force_terminal=True
    )
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    sys.stdout.write(console.export_html(theme=MONOKAI, inline_styles=True, code_format=PAGE))


if __name__ == "__main__":
    main()
