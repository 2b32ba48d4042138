"""Runs schemathesis over all routes of a server of its own, as `docs/api/openapi.json` describes them.

    python tests/api/run.py path/to/chat-server [options of `schemathesis run`]

The ids in requests are of things that exist, as far as a schema asks for an id: otherwise nearly every answer would be a 404.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ID = "^[0-9a-fA-F]{24}$"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, binary, folder):
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "PORT": str(port),
            "CHAT_HOST": "127.0.0.1",
            "CHAT_DATA_DIR": folder,
            "CHAT_DIALECTS": "camel,push,native",
            "CHAT_BCRYPT_COST": "4",
            "CHAT_LOG": "warn",
            # Every request is to be answered by the route and not by a limit.
            **dict.fromkeys((f"CHAT_{word}_LIMIT" for word in ("LOGIN", "LOGIN_ADDRESS", "SIGNUP", "MESSAGE", "SEARCH")), "0"),
            "CHAT_FILES_RATE": "0",
            # It takes longer than a token is good for otherwise.
            "CHAT_ACCESS_TOKEN_MINUTES": "1440",
        }
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([binary], env=env, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start:\n{self.told()}")
            time.sleep(0.05)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/readyz", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def told(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def ask(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def register(self, name):
        answer = self.ask("POST", "/api/v1/auth/register", {"username": name, "password": f"river-{name}-42"})
        return answer["user"]["userId"], answer["token"]

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        log = self.told()
        self.log.close()
        return log


def with_real_ids(document, ids):
    """The document with ids of things that exist where an object or a parameter has an id of a known name."""

    def is_id(schema):
        return isinstance(schema, dict) and schema.get("pattern") == ID

    def visit(value):
        if isinstance(value, list):
            for item in value:
                visit(item)
        if not isinstance(value, dict):
            return
        if isinstance(value.get("name"), str) and value["name"] in ids and is_id(value.get("schema")):
            value["schema"] = {**value["schema"], "enum": ids[value["name"]]}
        for name, schema in (value.get("properties") or {}).items():
            if name in ids and is_id(schema):
                nothing = [None] if "null" in schema["type"] else []
                schema["enum"] = ids[name] + nothing
        for item in value.values():
            visit(item)

    visit(document["paths"])
    return document


def run(server, document, token, *options):
    command = [Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", document, "--url", server.url]
    command += ["-H", f"Authorization: Bearer {token}", "--workers", "1", *options]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    return subprocess.run(list(map(str, command)), cwd=Path(document).parent, env=env, check=False).returncode


def main():
    binary, options = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, folder)
        ann, token = server.register("anna")
        bob, _ = server.register("bert")
        room = server.ask("POST", "/api/v1/rooms", {"name": "Tea", "members": [bob]}, token)["room"]["roomId"]
        messages = [
            server.ask("POST", "/api/v1/messages", {**place, "content": "hello"}, token)["message"]["messageId"]
            for place in ({"roomId": room}, {"userId": bob})
        ]
        ids = {"roomId": [room], "userId": [ann, bob], "messageId": messages, "senderId": [ann, bob]}
        document = os.path.join(folder, "openapi.json")
        with open(document, "w", encoding="utf-8") as file:
            json.dump(with_real_ids(json.loads((ROOT / "docs/api/openapi.json").read_text()), ids), file)
        # A log-out ends the token, so these routes have one of their own.
        status = run(server, document, token, "--exclude-path-regex", "/logout$", *options)
        _, other = server.register("cora")
        status |= run(server, document, other, "--include-path-regex", "/logout$", *options)
        log = server.finish()
    if "panicked" in log:
        print(log)
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
