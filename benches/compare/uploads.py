#!/usr/bin/env python3
"""Uploads beside nginx: both read a body from a socket and write it to the disk.

    python3 uploads.py --server ../../target/release/chat-server     # about a minute; needs nginx with its WebDAV module

Two figures, A B A B, medians: bytes per second of one upload after another, and the CPU time of the server for them (nginx's
PUT neither checks what it writes, nor hashes it, nor waits for the disk). And the memory of this server for each of many
uploads that are in the middle at the same time, which nginx need not be asked for.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

MIB = 1 << 20
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_max_body_size 1g;
    client_body_temp_path {folder}/temp;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {folder}/files; dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listening(port):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def wav(size):
    """A sound of noise: it is known by its content, and nothing can be compressed in it."""
    data = random.Random(1).randbytes(size - 44)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 2, 44100, 176400, 4, 16, b"data",
                       size - 44) + data


def cpu_seconds(pid):
    """User and system time of a process and of those it has started."""
    ticks = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(folder.name) == pid or int(fields[1]) == pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Nginx:
    name = "nginx"

    def __init__(self, folder):
        self.folder, self.port, self.count = folder, free_port(), 0
        folder.mkdir()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=self.port))
        for sub in ("temp", "files"):
            (folder / sub).mkdir()
            (folder / sub).chmod(0o777)
        folder.chmod(0o755)
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
        listening(self.port)

    def upload(self, connection, body):
        self.count += 1
        connection.request("PUT", f"/{self.count}.wav", body)
        return connection.getresponse()


class Ours:
    name = "chat-server"

    def __init__(self, folder, binary):
        self.port = free_port()
        folder.mkdir()
        env = {"PATH": os.environ["PATH"], "PORT": str(self.port), "CHAT_DATA_DIR": str(folder), "CHAT_FILES_QUOTA": "0",
               "CHAT_FILES_RATE": "0", "CHAT_DIALECTS": "native", "RUST_LOG": "error"}
        self.process = subprocess.Popen([binary], env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listening(self.port)
        self.token = self.register("uploader")

    def register(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        body = json.dumps({"username": name, "password": "an uploader's own"})
        connection.request("POST", "/api/v1/auth/register", body, {"Content-Type": "application/json"})
        return json.load(connection.getresponse())["token"]

    def head(self, token=None):
        return {"Authorization": f"Bearer {token or self.token}", "Content-Type": "audio/wav"}

    def upload(self, connection, body):
        connection.request("POST", "/api/v1/files?name=noise.wav", body, self.head())
        return connection.getresponse()

    def memory_of_open_uploads(self, count, size, sent):
        """What each of `count` uploads costs of which `sent` bytes have come."""
        before, open_ones = rss(self.process.pid), []
        noise = wav(size)
        tokens = [self.register(f"person{n}") for n in range(-(-count // 8))]
        before = rss(self.process.pid)
        for n in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port))
            head = "".join(f"{key}: {value}\r\n" for key, value in self.head(tokens[n // 8]).items())
            connection.sendall(f"POST /api/v1/files?name=noise.wav HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{head}\r\n".encode())
            connection.sendall(noise[:sent])
            open_ones.append(connection)
        time.sleep(1)
        cost = (rss(self.process.pid) - before) / count
        for connection in open_ones:
            connection.close()
        return cost


def measure(server, body, count):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    cpu, started = cpu_seconds(server.process.pid), time.monotonic()
    for _ in range(count):
        answer = server.upload(connection, body)
        answer.read()
        assert answer.status in (201, 204), f"{server.name}: {answer.status}"
    seconds = time.monotonic() - started
    moved = count * len(body)
    return moved / seconds / MIB, (cpu_seconds(server.process.pid) - cpu) * 1000 / (moved / MIB)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--server", type=pathlib.Path, required=True, help="the chat-server to measure, a release build")
    args.add_argument("--mib", type=int, default=50, help="size of a file (50)")
    args.add_argument("--count", type=int, default=6, help="files in each turn (6)")
    args.add_argument("--reps", type=int, default=3, help="turns (3)")
    args = args.parse_args()
    assert shutil.which("nginx"), "nginx is not installed"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="uploads-"))
    folder.chmod(0o755)
    body, servers = wav(args.mib * MIB), []
    try:
        servers = [Nginx(folder / "nginx"), Ours(folder / "ours", args.server.resolve())]
        results = {server.name: [] for server in servers}
        for server in servers:
            measure(server, body, 1)
        for _ in range(args.reps):
            for server in servers:
                results[server.name].append(measure(server, body, args.count))
        rates, cpus = ([statistics.median(run[n] for run in results[s.name]) for s in servers] for n in (0, 1))
        print(f"MiB/s: nginx {rates[0]:.0f}, chat-server {rates[1]:.0f}: {rates[1] / rates[0]:.0%} of it (goal: at least 60 %)")
        print(f"CPU ms per MiB: nginx {cpus[0]:.2f}, chat-server {cpus[1]:.2f}")
        cost = servers[1].memory_of_open_uploads(200, 10 * MIB, 8 * MIB)
        print(f"memory of an open upload: {cost / 1024:.0f} KiB (goal: at most 256)")
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
