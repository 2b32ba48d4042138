"""Holds a listening socket and runs servers on it, one after the other, as systemd does (see sd_listen_fds(3)).

Prints the port. Each line of its input, `{"program": …, "env": {…}, "cwd": …}`, starts a server, whose process id is
printed; when it has ended its exit code is printed, negative for a signal. The servers' output goes where its own errors
go. What still runs when the input ends is killed.
"""

import json
import os
import socket
import subprocess
import sys
import threading

FIRST = 3
# The variable must name the process that is to use the socket, which is known only in there.
START = 'LISTEN_FDS=1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec "$0"'


def say(number):
    print(number, flush=True)


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
if listener.fileno() != FIRST:
    os.dup2(listener.fileno(), FIRST)
say(listener.getsockname()[1])
children = []
for line in sys.stdin:
    order = json.loads(line)
    child = subprocess.Popen(
        ["sh", "-c", START, order["program"]],
        env=order["env"], cwd=order["cwd"], pass_fds=[FIRST], stdin=subprocess.DEVNULL, stdout=2,
    )
    say(child.pid)
    children.append(child)
    threading.Thread(target=lambda child=child: say(child.wait())).start()
for child in children:
    child.kill()
