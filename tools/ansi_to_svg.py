"""Turn a terminal capture with colours (ANSI) on standard input into an SVG picture for the docs.

    tmux capture-pane -e -p -t demo | python tools/ansi_to_svg.py "gondwana demo" > docs/images/demo.svg
"""

import io
import sys

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Read a capture, write the picture."""
    title = sys.argv[1] if len(sys.argv) > 1 else "gondwana"
    lines = sys.stdin.read().rstrip().splitlines()
    width = max(len(Text.from_ansi(line)) for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    sys.stdout.write(console.export_svg(title=title))


if __name__ == "__main__":
    main()
