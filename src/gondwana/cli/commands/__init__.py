"""One file per noun; each names its click command `command`."""
