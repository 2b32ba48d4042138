"""The MongoDB server that some tests need: started anew for each run, or one that runs already."""
import contextlib
import secrets
import socket
import subprocess
import time


class Database:
    """`given` is a program that is called with --port and --storage-path (as SecantusDB's are), or the URI of a running
    server, without a database's name. `pid` is that server's process, if its CPU time can be read here."""

    def __init__(self, given, pid, logs):
        self.given, self.pid, self.log = given, pid, logs / "mongodb.log"

    @contextlib.contextmanager
    def serving(self, folder):
        """(URI of an empty database, process id or None)"""
        name = f"compare_{secrets.token_hex(4)}"
        if self.given.startswith(("mongodb://", "mongodb+srv://")):
            base, _, options = self.given.partition("?")
            yield f"{base.rstrip('/')}/{name}{'?' + options if options else ''}", self.pid
            return
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        cmd = [self.given, "--port", str(port), "--storage-path", folder / "mongodb"]
        with open(self.log, "wb") as f:
            p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        try:
            listening(p, port)
            yield f"mongodb://127.0.0.1:{port}/{name}", p.pid
        finally:
            p.kill()
            p.wait()


def listening(p, port):
    end = time.monotonic() + 30
    while time.monotonic() < end and p.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the database does not listen, exit code {p.poll()}")
