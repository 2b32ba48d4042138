"""What run.py measures: the servers (variants), the tests, and the goals that the report checks."""
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Variant:
    """One way to start one server."""
    server: str  # "server.js", "rest.js" or "chat-server"
    profile: str
    env: dict = field(default_factory=dict)

    mongo: bool = False  # needs a MongoDB server, whose URI is then in MONGO_URI

    @property
    def ours(self):
        return self.server == "chat-server"


SQLITE = {"STORE": "sqlite"}
VARIANTS = {
    "node": Variant("server.js", "baseline"),
    "node-keyobj": Variant("server.js", "baseline", {"KEYOBJ": "1"}),
    "node-presence": Variant("server.js", "baseline", {"PRESENCE": "1"}),
    "node-sqlite": Variant("server.js", "baseline", {**SQLITE, "SYNC": "NORMAL"}),
    "node-sqlite-full": Variant("server.js", "baseline", {**SQLITE, "SYNC": "FULL"}),
    "node-sqlite-huff": Variant("server.js", "baseline", {**SQLITE, "SYNC": "NORMAL", "HUFFMAN": "1"}),
    "node-recovery": Variant("server.js", "baseline", {**SQLITE, "SYNC": "NORMAL", "RECOVERY": "1"}),
    "node-rest": Variant("rest.js", "push", {"ROUNDS": "4"}),
    "node-rest-keyobj": Variant("rest.js", "push", {"ROUNDS": "4", "KEYOBJ": "1"}),
    "ours": Variant("chat-server", "camel", {"CHAT_SQLITE_SYNCHRONOUS": "full"}),
    "ours-plain": Variant("chat-server", "camel", {"CHAT_SQLITE_SYNCHRONOUS": "full", "CHAT_CODEC": "none"}),
    "ours-normal": Variant("chat-server", "camel", {"CHAT_SQLITE_SYNCHRONOUS": "normal"}),
    "node-mongo": Variant("server.js", "baseline", {"STORE": "mongo"}, mongo=True),
    "ours-mongo": Variant("chat-server", "camel", mongo=True),
    "ours-native": Variant("chat-server", "native", {"CHAT_SQLITE_SYNCHRONOUS": "full", "CHAT_DIALECTS": "native"}),
    "ours-push": Variant("chat-server", "push", {"CHAT_SQLITE_SYNCHRONOUS": "full"}),
}


@dataclass(frozen=True)
class Test:
    """One way to call loadgen (or node/clients.mjs: `faults`), and the variants to call it against, a peer first."""
    args: str
    quick: str  # options that make it short; later options win
    variants: tuple

    @property
    def mongo(self):
        return any(VARIANTS[v].mongo for v in self.variants)

    def command(self, quick):
        """loadgen's arguments as a list without repeated options."""
        mode, *rest = self.args.split()
        opts = dict(zip(rest[::2], rest[1::2]))
        if quick:
            more = self.quick.split()
            opts.update(zip(more[::2], more[1::2]))
        return [mode, *(x for pair in opts.items() for x in pair)]


RECOVERY = ("node-sqlite", "node-recovery", "ours")
SHORT = "--conns 20 --warmup 0.5 --duration 1"
TESTS = {
    "sat": Test("pairs --conns 200 --window 4 --body 100 --warmup 2 --duration 5", SHORT,
                ("node-sqlite", "ours", "node-sqlite-full", "ours-normal", "node-sqlite-huff", "ours-plain")),
    "rate": Test("pairs --conns 200 --rate 2000 --body 100 --warmup 2 --duration 5", SHORT + " --rate 500",
                 ("node-sqlite", "ours", "node-sqlite-full", "ours-normal")),
    "order": Test("pairs --conns 200 --window 64 --body 100 --warmup 1 --duration 4 --verify-every 1", SHORT,
                  ("node-sqlite", "ours")),
    "idle": Test("connect --conns 10000 --sources 8 --hold 60", "--conns 300 --hold 2", ("node", "ours")),
    "connect": Test("connect --conns 2000 --sources 4 --hold 1", "--conns 100", ("node", "ours", "node-keyobj")),
    "history": Test("history --conns 50 --fill 60 --warmup 1 --duration 4", SHORT, ("node-sqlite", "ours")),
    "presence": Test("connect --conns 1000 --sources 4 --hold 1", "--conns 100", ("node-presence", "ours-push")),
    "rest": Test("pairs --conns 100 --window 1 --warmup 2 --duration 5", SHORT,
                 ("node-rest", "ours-push", "node-rest-keyobj")),
    "room": Test("room --conns 1000 --senders 4 --window 1 --body 90 --verify-every 0 --warmup 2 --duration 5", SHORT,
             ("node-sqlite", "ours-native")),
    "room-rate": Test("room --conns 1000 --senders 4 --rate 10 --body 90 --verify-every 0 --warmup 2 --duration 5", SHORT,
                      ("node-sqlite", "ours-native")),
    "sat-mongo": Test("pairs --conns 200 --window 4 --body 100 --warmup 2 --duration 5", SHORT, ("node-mongo", "ours-mongo")),
    "order-mongo": Test("pairs --conns 200 --window 64 --body 100 --warmup 1 --duration 4 --verify-every 1", SHORT,
                        ("node-mongo", "ours-mongo")),
    "history-mongo": Test("history --conns 50 --fill 60 --warmup 1 --duration 4", SHORT, ("node-mongo", "ours-mongo")),
    # what becomes of messages when the network or the server fails
    **{f"faults-{fault}": Test(f"faults --fault {fault} --pairs 20 --seconds 20", "--pairs 2 --seconds 7", RECOVERY)
       for fault in ("reset", "half-open", "restart", "kill")},
    "faults-kill-retries": Test("faults --fault kill --retries 1 --pairs 20 --seconds 20", "--pairs 2 --seconds 7", RECOVERY),
    # the server is killed, or stays (only the network was gone)
    "crowd-kill": Test("crowd --conns 5050 --senders 50 --missed 5 --sources 8", "--conns 110 --senders 10", RECOVERY),
    "crowd-cut": Test("crowd --conns 5050 --senders 50 --missed 5 --sources 8", "--conns 110 --senders 10", RECOVERY),
}


@dataclass(frozen=True)
class Goal:
    """One line of the report. `kind` says how the two figures are compared:

    less      peer / ours must reach `bound`       more      ours / peer must reach `bound`
    fraction  ours / peer must not pass `bound`    at most   ours alone must not pass `bound`
    below     ours must be below the peer's        every     ours must be below the peer's in every pair
    """
    id: str
    what: str
    unit: str
    test: str
    peer: str
    ours: str
    value: Callable[[dict], float]
    kind: str
    bound: float = 0


def first(key, scale=1.0):
    """Reads a figure that loadgen gives per process: the server is the first."""
    return lambda d: d[key][0] * scale


def faults(d):
    """Messages lost, doubled, damaged or brought to the wrong one."""
    return sum(d[k] for k in ("lost", "duplicated", "bad_bodies", "misdelivered", "echoes_lost", "echoes_duplicated"))


def per_delivery(d):
    return d["cpu_us_per_delivery"]


def database_per_delivery(d):
    """The CPU time of the database, which is the second process; none if it runs elsewhere."""
    cpu = d["server_cpu_us"][1:]
    return cpu[0] / max(d["delivered"], 1) if cpu else None


def database_per_page(d):
    return next(iter(d["cpu_us_per_page"][1:]), None)


def per_second(d):
    return d["delivered_per_s"]


def reordered(d):
    return d["out_of_order"]


def wrong_rosters(d):
    return d["rosters_wrong"]


def percentile(key):
    return lambda d: d["latency"][key]


# How durable the two compared stores are, for the goals that SQLite's setting decides.
AS_RUN = ("as run (Node NORMAL, ours FULL)", "node-sqlite", "ours")
NORMAL = ("both NORMAL", "node-sqlite", "ours-normal")
FULL = ("both FULL", "node-sqlite-full", "ours")


def durable(id, what, unit, test, value, kind, bound=0):
    """The same goal for each pair of durabilities."""
    pairs = (AS_RUN, NORMAL, FULL)
    return [Goal(id, f"{what}, {how}", unit, test, peer, ours, value, kind, bound) for how, peer, ours in pairs]


def pushed_mb(d):
    return d["pushed_bytes"] / 1e6


def crowd_seconds(key):
    """Until the last of the crowd was there; never when one has not got there."""
    return lambda d: d[key]["max_us"] / 1e6 if d[key]["n"] >= d["members"] else float("inf")


def crowd_faults(d):
    return d["lost"] + d["duplicated"] + d["out_of_order"]


CONNECT, IDLE = first("cpu_us_per_connect_settled"), first("idle_cpu_us_per_conn_s")
RSS_MB, PER_CONN_KB = first("rss_kb", 1 / 1024), first("rss_per_conn_kb")
PAGE = first("cpu_us_per_page")
KEY_OBJECT = "the same, Node with a key object"
PRESENCE = ("presence", "node-presence", "ours-push")
ON_MONGO = ("sat-mongo", "node-mongo", "ours-mongo")
PAGES_OF_MONGO = ("history-mongo", "node-mongo", "ours-mongo")
GOALS = [
    *durable("P1", "CPU per delivered message, saturated", "µs", "sat", per_delivery, "less", 6),
    Goal("P2", "the same, Node with Huffman", "µs", "sat", "node-sqlite-huff", "ours", per_delivery, "less", 10),
    Goal("P2", "the same, ours without compression", "µs", "sat", "node-sqlite-huff", "ours-plain", per_delivery,
         "less", 10),
    Goal("P3", "CPU per delivered message on MongoDB", "µs", *ON_MONGO, per_delivery, "less", 30),
    Goal("P3", "the same, the database's process", "µs", *ON_MONGO, database_per_delivery, "less", 10),
    Goal("P3", "messages per second on MongoDB", "", *ON_MONGO, per_second, "more", 1),
    *durable("P4", "CPU per message at 2,000/s", "µs", "rate", per_delivery, "less", 2.5),
    *durable("P5", "latency p50 at 2,000/s", "µs", "rate", percentile("p50_us"), "fraction", 0.7),
    *durable("P5", "latency p99 at 2,000/s", "µs", "rate", percentile("p99_us"), "every"),
    *durable("P6", "messages per second", "", "sat", per_second, "more", 6),
    Goal("P7", "lost + doubled + wrong, 64 in flight", "", "order", "node-sqlite", "ours", faults, "at most", 0),
    Goal("P7", "out of order, 64 in flight", "", "order", "node-sqlite", "ours", reordered, "at most", 0),
    Goal("P7", "lost + doubled + wrong, 64 in flight, on MongoDB", "", "order-mongo", "node-mongo", "ours-mongo", faults,
         "at most", 0),
    Goal("P7", "out of order, 64 in flight, on MongoDB", "", "order-mongo", "node-mongo", "ours-mongo", reordered,
         "at most", 0),
    Goal("P8", "memory per idle connection", "kB", "idle", "node", "ours", PER_CONN_KB, "at most", 18),
    Goal("P8", "memory of the whole process", "MB", "idle", "node", "ours", RSS_MB, "below"),
    Goal("P9", "CPU per authenticated connect", "µs", "connect", "node", "ours", CONNECT, "less", 15),
    Goal("P9", KEY_OBJECT, "µs", "connect", "node-keyobj", "ours", CONNECT, "less", 8),
    Goal("P10", "CPU per delivery to a room of 1,000, saturated", "µs", "room", "node-sqlite", "ours-native", per_delivery,
         "less", 3),
    Goal("P11", "the same at 10 messages/s", "µs", "room-rate", "node-sqlite", "ours-native", per_delivery, "less", 1.5),
    Goal("P12", "CPU per history page of 50", "µs", "history", "node-sqlite", "ours", PAGE, "less", 8),
    Goal("P12", "CPU per history page of 50 on MongoDB", "µs", *PAGES_OF_MONGO, PAGE, "less", 6),
    Goal("P12", "the same, the database's process", "µs", *PAGES_OF_MONGO, database_per_page, "less", 1),
    Goal("P13", "CPU per connect, everybody sees who is online", "µs", *PRESENCE, CONNECT, "less", 20),
    Goal("P13", "data sent for it", "MB", *PRESENCE, pushed_mb, "less", 20),
    Goal("P13", "wrong rosters at the end", "", *PRESENCE, wrong_rosters, "at most", 0),
    Goal("P14", "CPU per REST send, Node with no database", "µs", "rest", "node-rest", "ours-push", per_delivery, "less", 20),
    Goal("P14", KEY_OBJECT, "µs", "rest", "node-rest-keyobj", "ours-push", per_delivery, "less", 6),
    Goal("R5", "5,000 back at once after kill -9: all connected", "s", "crowd-kill", "node-recovery", "ours",
         crowd_seconds("back"), "at most", 30),
    Goal("R5", "all have got what they missed", "s", "crowd-kill", "node-recovery", "ours", crowd_seconds("caught_up"),
         "at most", 30),
    Goal("R5", "lost + doubled + out of order", "", "crowd-kill", "node-recovery", "ours", crowd_faults, "at most", 0),
    Goal("P15", "idle CPU per connection and second", "µs", "idle", "node", "ours", IDLE, "fraction", 1),
]
