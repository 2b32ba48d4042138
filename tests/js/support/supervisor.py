"""Holds listening sockets and runs servers on them, one after the other, as systemd does (see sd_listen_fds(3)).

Its arguments say which: `tcp`, `unix:PATH`, or `udp`, on which nobody can listen; without any there is one of TCP. Prints the
ports of those of TCP. Each line of its input, `{"program": …, "env": {…}, "cwd": …}`, starts a server, whose process id is
printed; when it has ended its exit code is printed, negative for a signal. The servers' output goes where its own errors
go. What still runs when the input ends is killed.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading

FIRST = 3
# The variable must name the process that is to use the sockets, which is known only in there.
START = 'LISTEN_PID=$$; export LISTEN_PID; exec "$0"'


def say(number):
    print(number, flush=True)


def opened(kind):
    if kind == "udp":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind == "tcp":
        return socket.create_server(("127.0.0.1", 0), backlog=4096)
    return socket.create_server(kind.removeprefix("unix:"), family=socket.AF_UNIX, backlog=4096)


listeners = [opened(kind) for kind in sys.argv[1:] or ["tcp"]]
passed = range(FIRST, FIRST + len(listeners))
# First out of the way of each other.
copies = [fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, 100) for listener in listeners]
for copy, number in zip(copies, passed):
    os.dup2(copy, number)
    held = socket.socket(fileno=copy)
    if held.family == socket.AF_INET and held.type == socket.SOCK_STREAM:
        say(held.getsockname()[1])
    held.detach()
for listener in listeners:
    # The numbers may be those of the sockets that are passed on.
    listener.detach()
children = []
for line in sys.stdin:
    order = json.loads(line)
    child = subprocess.Popen(
        ["sh", "-c", START, order["program"]],
        env={**order["env"], "LISTEN_FDS": str(len(passed))}, cwd=order["cwd"], pass_fds=passed, stdin=subprocess.DEVNULL, stdout=2,
    )
    say(child.pid)
    children.append(child)
    threading.Thread(target=lambda child=child: say(child.wait())).start()
for child in children:
    child.kill()
