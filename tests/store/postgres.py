"""A PostgreSQL server of the tests' own, from the binaries of the system: started, stopped, killed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil

SETTINGS = {
    "listen_addresses": "",  # a socket in a folder of our own is enough
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
}
WAIT_SECONDS_MAX = 60


def binaries() -> Path | None:
    """The folder of the newest server that is installed, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found.sort(key=lambda path: int(re.sub(r"\D.*", "", path.parent.name) or 0))
    if found:
        return found[-1]
    for word in ("pg_config", "initdb"):
        if where := shutil.which(word):
            folder = Path(where).resolve().parent
            if word == "pg_config":
                done = subprocess.run([where, "--bindir"], capture_output=True, text=True)
                folder = Path(done.stdout.strip())
            if (folder / "postgres").exists():
                return folder
    return None


class Cluster:
    """One server in a temporary folder; anybody who can see the folder is let in as whom they like."""

    def __init__(self, **settings: str):
        self.folder = Path(tempfile.mkdtemp(prefix="gondwana-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.folder.chmod(0o755)
        self._settings = {**SETTINGS, **settings}
        self._process: subprocess.Popen | None = None
        bin_folder = binaries()
        assert bin_folder is not None
        self._bin = bin_folder
        self._user = self._other_user()
        if self._user:
            shutil.chown(self.folder, *self._user)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--no-sync", "--locale=C")  # fmt: skip

    def start(self) -> "Cluster":
        """Start the server, and wait until it answers."""
        assert self._process is None
        settings = [
            word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")
        ]
        command = [self._bin / "postgres", "-D", self.data, "-k", self.folder, *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user(command, dies_with_us=True), stdout=log, stderr=log, cwd="/"
            )
        deadline, pause = time.monotonic() + WAIT_SECONDS_MAX, threading.Event()
        ready = [self._bin / "pg_isready", "-q", "-h", self.folder]
        while subprocess.run(ready).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2_000:]
            assert time.monotonic() < deadline
            pause.wait(0.05)
        return self

    @property
    def pid(self) -> int:
        """The server's first process; the others are its children."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End the server in order; it forgets nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(WAIT_SECONDS_MAX)
            self._process = None

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would end them."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # so that it neither starts others nor tidies up
        everybody = [*postmaster.children(recursive=True), postmaster]
        for process in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everybody, WAIT_SECONDS_MAX)
        self._process.wait(WAIT_SECONDS_MAX)
        self._process = None

    def url(self, database: str, user: str = "postgres") -> str:
        """Where a database is, seen by one of its users."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database, as a copy of another; returns its URL."""
        self.sql(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def sql(self, statement: str, database: str = "postgres") -> list:
        """Run one statement as the superuser; the rows that it returns."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _other_user(self) -> tuple[str, str] | None:
        """The user to run as: PostgreSQL refuses to run as root."""
        if os.geteuid():
            return None
        for user in ("postgres", "nobody"):
            done = subprocess.run(["id", "-gn", user], capture_output=True, text=True)
            if done.returncode == 0:
                return user, done.stdout.strip()
        raise AssertionError("there is no user but root")

    def _as_user(self, command: list, *, dies_with_us: bool = False) -> list[str]:
        words = [str(word) for word in command]
        death = ["--pdeathsig", "QUIT"] if dies_with_us else []
        if not self._user:
            return ["setpriv", *death, *words] if death else words
        user, group = self._user
        return ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", *death, *words]

    def _run(self, program: str, *words) -> None:
        command = self._as_user([self._bin / program, *words])
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stderr
