"""A client by python-socketio, with handlers of one parameter. What it is told it writes down, a JSON text a line."""

import json
import sys
import threading

import socketio

url, token, event, transport = sys.argv[1:]
client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.1, randomization_factor=0)


writing = threading.Lock()


def say(kind, value=None):
    # Each handler runs in a thread of its own, and `print` writes a text and its line end apart from each other.
    with writing:
        print(json.dumps([kind, value]), flush=True)


@client.event
def connect():
    say("connect")


@client.event
def disconnect():
    say("disconnect")


def told(message):
    say("message", message)


client.on(event, told)
client.connect(url, auth={"token": token}, transports=[transport])
# Until whoever has started it has seen enough.
sys.stdin.read()
client.disconnect()
