#!/usr/bin/env python3
"""Compares chat-server with Node servers of the same kind and prints a table of the performance goals.

Each test runs its servers in turn (A B A B …), every time on a fresh process with fresh data; all traffic
stays on 127.0.0.0/8. See README.md."""
import argparse
import contextlib
import datetime
import http.client
import json
import os
import platform
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from database import Database
from matrix import TESTS, VARIANTS
from report import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUN = HERE / "run"
# what a developer's shell may hold and a measured server must not see
FOREIGN = ("CHAT_", "MONGO", "REDIS", "CLIENT_URL", "CLOUDINARY", "RESEND", "AWS_", "S3_", "JWT_")
LOADGEN_LIMIT_S = 600


def main():
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench = Bench(a)
    if a.build:
        build(a)
    bench.check()
    head = header(a)
    out = a.out or HERE / "results" / f"{datetime.datetime.now():%Y%m%d-%H%M%S}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    runs = []
    with open(out, "w", encoding="utf-8") as f:
        def keep(x):
            f.write(json.dumps(x) + "\n")
            f.flush()
        keep(head)
        for test in a.tests:
            for rep in range(a.reps):
                for variant in TESTS[test].variants:
                    d = {"test": test, "variant": variant, "rep": rep, **bench.measure(test, variant)}
                    keep(d)
                    runs.append(d)
                    print(brief(d), file=sys.stderr, flush=True)
    print(report(head, runs))
    print(f"\nRaw results: {out}", file=sys.stderr)
    sys.exit(any("error" in d for d in runs))


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tests", help=f"which, with commas; all, those with MongoDB if --mongodb is given: {','.join(TESTS)}")
    p.add_argument("--reps", type=int, help="repetitions of each (3; 1 with --quick)")
    p.add_argument("--quick", action="store_true", help="only see that everything runs; the figures mean nothing")
    p.add_argument("--aa", action="store_true", help="Node in both columns: shows how noisy the machine is")
    p.add_argument("--no-build", dest="build", action="store_false", help="take what is built already")
    p.add_argument("--server", type=Path, help="chat-server binary to measure (default: this repository's, built)")
    p.add_argument("--loadgen", type=Path, help="loadgen binary to use (default: this folder's, built)")
    p.add_argument("--mongodb", help="a program called with --port and --storage-path, or the URI of a running server")
    p.add_argument("--mongodb-pid", type=int, help="process of the running server, to measure its CPU time")
    p.add_argument("--out", type=Path, help="file for the raw results")
    a = p.parse_args()
    if a.tests is None:
        a.tests = ",".join(t for t in TESTS if a.mongodb or not TESTS[t].mongo)
    # `faults` and `crowd` are several
    asked = [t for t in a.tests.split(",") if t]
    a.tests = [t for name in asked for t in ([name] if name in TESTS else found(name))]
    if unknown := [t for t in a.tests if t not in TESTS]:
        p.error(f"no such test: {', '.join(unknown)}; there are {', '.join(TESTS)}")
    if not a.mongodb and (without := [t for t in a.tests if TESTS[t].mongo]):
        p.error(f"{', '.join(without)} need --mongodb")
    a.reps = a.reps or (1 if a.quick else 3)
    return a


def found(name):
    """The tests that a name stands for."""
    return [t for t in TESTS if t.startswith(f"{name}-")] or [name]


def build(a):
    """Builds what is missing on the command line, and installs the Node peers' packages."""
    if not a.loadgen:
        run(["cargo", "build", "--release", "--locked"], HERE / "loadgen")
    if not (a.aa or a.server):
        run(["cargo", "build", "--release", "--locked", "-p", "chat-server"], ROOT)
    lock, stamp = HERE / "node/package-lock.json", HERE / "node/node_modules/.package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        run(["npm", "ci"], HERE / "node")


def run(cmd, cwd):
    print("+", *cmd, file=sys.stderr, flush=True)
    subprocess.run(cmd, cwd=cwd, check=True, stdout=sys.stderr)


def built(folder, name):
    """Where cargo puts a binary; it knows about CARGO_TARGET_DIR and its own configuration."""
    cmd = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    meta = json.loads(subprocess.run(cmd, cwd=folder, check=True, capture_output=True).stdout)
    return Path(meta["target_directory"]) / "release" / name


class Bench:
    """Starts servers and points loadgen at them."""

    def __init__(self, a):
        self.quick, self.aa = a.quick, a.aa
        self.loadgen = (a.loadgen or built(HERE / "loadgen", "loadgen")).absolute()
        self.server = None if a.aa else (a.server or built(ROOT, "chat-server")).absolute()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        self.env |= {"NODE_ENV": "production", "JWT_SECRET": secrets.token_hex(32)}
        (RUN / "logs").mkdir(parents=True, exist_ok=True)
        self.database = Database(a.mongodb, a.mongodb_pid, RUN / "logs") if a.mongodb else None

    def check(self):
        for f in filter(None, (self.loadgen, self.server, HERE / "node/node_modules")):
            if not f.exists():
                sys.exit(f"{f} is missing: build first")
        for folder in (RUN, *RUN.parents):
            if (folder / ".env").exists():
                print(f"warning: chat-server will read {folder / '.env'}", file=sys.stderr)

    def measure(self, test, name):
        """One run: loadgen's figures, or an error."""
        t, variant = TESTS[test], VARIANTS[name]
        if self.aa and variant.ours:
            variant = VARIANTS[t.variants[0]]
        cmd = t.command(self.quick)
        with tempfile.TemporaryDirectory(dir=RUN) as d:
            data, users = Path(d), []
            try:
                # Registering leaves memory and warmth behind that a connect test must not measure, so there the
                # users come from an earlier process.
                if variant.ours and cmd[0] == "connect":
                    users = ["--users-file", str(data / "users.json")]
                    conns = cmd[cmd.index("--conns") + 1]
                    with self.serving(name, variant, data, signal.SIGTERM) as (url, pid):
                        self.drive(["users", "--conns", conns, *users], variant, url, [pid])
                if cmd[0] == "faults":
                    return self.disturb(cmd, name, variant, data)
                if cmd[0] == "crowd":
                    return self.gather(cmd, name, variant, data, kill=test == "crowd-kill")
                with contextlib.ExitStack() as stack:
                    beside = []
                    if variant.mongo:
                        uri, beside = stack.enter_context(self.database.serving(data))
                        variant = replace(variant, env={**variant.env, "MONGO_URI": uri})
                        beside = [beside] if beside else []
                    url, pid = stack.enter_context(self.serving(name, variant, data, signal.SIGKILL))
                    return self.drive([*cmd, *users], variant, url, [pid, *beside])
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                return {"error": str(e)[-400:]}

    def drive(self, cmd, variant, url, pids):
        """Runs loadgen; of `pids` the first is the server."""
        profile = HERE / "profiles" / f"{variant.profile}.toml"
        cmd = [self.loadgen, *cmd, "--profile", profile, "--url", url]
        cmd += [x for pid in pids for x in ("--pid", str(pid))]
        r = subprocess.run(cmd, env=self.env, capture_output=True, text=True, timeout=LOADGEN_LIMIT_S)
        if r.returncode:
            raise RuntimeError(r.stderr.strip())
        return json.loads(r.stdout)

    @contextlib.contextmanager
    def serving(self, name, variant, data, end):
        """A server from ready to ended by the signal `end`; gives (url, pid)."""
        server = Server(self, name, variant, data)
        try:
            server.start()
            yield server.url, server.process.pid
        finally:
            server.end(end)

    def disturb(self, cmd, name, variant, data):
        """Clients under faults; the server is restarted when they ask for it."""
        given = dict(zip(cmd[1::2], cmd[2::2]))
        server = Server(self, name, variant, data)
        plan = {
            "url": server.url, "port": server.port, "dialect": variant.profile, "fault": given["--fault"],
            "pairs": int(given["--pairs"]), "seconds": int(given["--seconds"]), "retries": "--retries" in given,
        }
        ends = {"restart": signal.SIGTERM, "kill": signal.SIGKILL}
        server.start()
        clients = ["node", HERE / "node/clients.mjs", json.dumps(plan)]
        try:
            with self.talking(clients) as p:
                for line in p.stdout:
                    if line.startswith("{"):
                        return json.loads(line)
                    server.end(ends[line.strip()])
                    server.start()
                    tell(p, "ready")
                raise RuntimeError(f"clients.mjs ended without a result: {p.stderr.read().strip()}")
        finally:
            server.end(signal.SIGKILL)

    def gather(self, cmd, name, variant, data, kill):
        """A crowd that comes back at once, after the server was killed and started again, or only cut off."""
        profile = HERE / "profiles" / f"{variant.profile}.toml"
        users = ["--users-file", data / "users.json"]
        conns = cmd[cmd.index("--conns") + 1]
        server = Server(self, name, variant, data)
        server.start()
        try:
            self.drive(["users", "--conns", conns, *users], variant, server.url, [server.process.pid])
            loadgen = [self.loadgen, *cmd, *users, "--profile", profile, "--url", server.url]
            with self.talking(loadgen) as p:
                for line in p.stdout:
                    if line.startswith("{"):
                        return json.loads(line)
                    if kill:
                        server.end(signal.SIGKILL)
                        server.start()
                    tell(p, server.process.pid)
                raise RuntimeError(f"loadgen ended without a result: {p.stderr.read().strip()}")
        finally:
            server.end(signal.SIGKILL)

    @contextlib.contextmanager
    def talking(self, cmd):
        """A process that asks and is answered, line by line."""
        pipe = subprocess.PIPE
        with subprocess.Popen(cmd, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as p:
            # whatever hangs is ended, and then its output ends too
            watch = threading.Timer(LOADGEN_LIMIT_S, p.kill)
            watch.start()
            try:
                yield p
            finally:
                watch.cancel()
                p.kill()

    def command(self, variant, port, data):
        if not variant.ours:
            env = {"PORT": str(port), "SQLITE_PATH": str(data / "chat.db"), **variant.env}
            return ["node", HERE / "node" / variant.server], env
        return [self.server], {
            "PORT": str(port),
            "CHAT_HOST": "127.0.0.1",
            "CHAT_DATA_DIR": str(data),
            **({} if variant.mongo else {"CHAT_STORE": f"sqlite:{data / 'chat.db'}"}),
            # users are made quickly and nobody is held back: neither is what is measured
            "CHAT_BCRYPT_COST": "4",
            "CHAT_SIGNUP_LIMIT": "0",
            "CHAT_LOGIN_LIMIT": "0",
            "CHAT_MESSAGE_LIMIT": "0",
            "CHAT_READ_BUDGET": "0",
            "CHAT_CHANGE_BUDGET": "0",
            "CHAT_SEND_BUDGET": "0",
            "CHAT_LOG": "warn",
            **variant.env,
        }


class Server:
    """One server that may be started more than once, on the same port and data."""

    def __init__(self, bench, name, variant, data):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = RUN / "logs" / f"{name}.log"
        self.log.write_bytes(b"")
        self.data, self.process = data, None
        self.cmd, env = bench.command(variant, self.port, data)
        self.env = {**bench.env, **env}

    def start(self):
        with open(self.log, "ab") as f:
            self.process = subprocess.Popen(
                self.cmd, env=self.env, cwd=self.data, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        wait_ready(self.process, self.port, self.log)

    def end(self, how):
        if not self.process:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def tell(p, line):
    p.stdin.write(f"{line}\n")
    p.stdin.flush()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_ready(p, port, log):
    """Until GET /readyz answers 200."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if p.poll() is not None:
            break
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            c.request("GET", "/readyz")
            if c.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            c.close()
        time.sleep(0.05)
    raise RuntimeError(f"server not ready, exit code {p.poll()}: {log.read_text(errors='replace')[-300:].strip()}")


def brief(d):
    """One line of a run, for whoever watches."""
    name = f"{d['test']:19} {d['variant']:17} {d['rep']}"
    if "error" in d:
        return f"{name} FAILED {d['error']}"
    keys = (
        "cpu_us_per_delivery", "delivered_per_s", "cpu_us_per_connect_settled", "rss_per_conn_kb",
        "cpu_us_per_page", "idle_cpu_us_per_conn_s", "lost", "out_of_order",
        "sent", "acknowledged", "delivered", "acknowledged_lost", "doubled", "reordered", "connected", "recovered",
        "cpu_us_per_member",
    )
    flat = {k: d[k][0] if isinstance(d[k], list) else d[k] for k in keys if k in d}
    lat = [f"{k} {d['latency'][k]}" for k in ("p50_us", "p99_us")] if "latency" in d else []
    lat += [f"{k} {d[k]['max_us'] / 1e6:.1f} s" for k in ("back", "caught_up") if k in d]
    return " ".join([name, *(f"{k} {v:.6g}" for k, v in flat.items()), *lat])


def header(a):
    def said(*cmd):
        try:
            return subprocess.run(cmd, cwd=ROOT, capture_output=True, text=True, timeout=20).stdout.strip() or "unknown"
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"

    def package(name):
        return json.loads((HERE / "node/node_modules" / name / "package.json").read_text())["version"]

    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), platform.machine())
    memory = int(next(x for x in open("/proc/meminfo") if x.startswith("MemTotal")).split()[1]) / 1e6
    commit = said("git", "describe", "--always", "--dirty")
    return {
        "date": f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
        "machine": f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB, Linux {platform.release()}",
        "versions": {
            "chat-server": "given" if a.server else commit,
            "rustc": said("rustc", "--version").removeprefix("rustc "),
            "node": said("node", "--version"),
            **{n: package(n) for n in ("express", "socket.io", "socket.io-client", "better-sqlite3", "mongoose", "jsonwebtoken")},
            **({"mongodb": Path(a.mongodb).name if "://" not in a.mongodb else "given"} if a.mongodb else {}),
        },
        "quick": a.quick, "aa": a.aa, "reps": a.reps, "tests": a.tests,
    }


if __name__ == "__main__":
    if not shutil.which("node"):
        sys.exit("node is missing")
    main()
