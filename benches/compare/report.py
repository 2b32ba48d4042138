#!/usr/bin/env python3
"""Results (.jsonl of run.py) → a markdown table of the goals. Usage: report.py results/<file>.jsonl"""
import json
import statistics
import sys

from matrix import GOALS, crowd_seconds, faults

WANTED = {
    "less": "≥ {:g}× less",
    "more": "≥ {:g}×",
    "fraction": "≤ {:g}×",
    "at most": "at most {:g} {}",
    "below": "below Node's",
    "every": "lower in every pair",
}


def number(x):
    if x == float("inf"):
        return "never"
    return f"{x:,.0f}" if abs(x) >= 100 or x == int(x) else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def figure(values, unit):
    """The median, and the range when there is one."""
    if not values:
        return "–"
    lo, hi = min(values), max(values)
    spread = "" if number(lo) == number(hi) else f" ({number(lo)}–{number(hi)})"
    return f"{number(statistics.median(values))}{spread} {unit}".strip()


def compare(goal, peer, ours):
    """(ratio as text, met?) from the figures of each repetition; `None` = cannot be said."""
    p, o = (statistics.median(x.values()) if x else None for x in (peer, ours))
    if o is None:
        return "–", None
    if goal.kind == "at most":
        # none at all must hold in every run, a limit for the median
        return "–", (o if goal.bound else max(ours.values())) <= goal.bound
    if p is None:
        return "–", None
    if goal.kind == "less":
        r = p / o if o else float("inf")
        return f"{r:.1f}× less", r >= goal.bound
    text = "–" if not p else f"{o / p:.1f}×" if goal.kind == "more" else f"{o / p:.2f}×"
    if goal.kind == "more":
        return text, o >= p * goal.bound
    if goal.kind == "fraction":
        return text, o <= p * goal.bound
    if goal.kind == "below":
        return text, o < p
    pairs = [ours[k] < peer[k] for k in ours if k in peer]
    return f"{text}, {sum(pairs)} of {len(pairs)}", bool(pairs) and all(pairs)


def table(runs):
    """The goals' table; a goal whose test was not run has no line."""
    def values(goal, variant):
        mine = (d for d in runs if d["test"] == goal.test and d["variant"] == variant and "error" not in d)
        figures = ((d["rep"], goal.value(d)) for d in mine)
        return {rep: x for rep, x in figures if x is not None}

    lines = ["| Goal | What | Node | chat-server | Ratio | Wanted | Met? |", "|---|---|---|---|---|---|---|"]
    tests = {d["test"] for d in runs}
    for g in GOALS:
        if g.test not in tests:
            continue
        peer, ours = values(g, g.peer), values(g, g.ours)
        ratio, met = compare(g, peer, ours)
        wanted = WANTED[g.kind].format(g.bound, g.unit).strip()
        verdict = "–" if met is None else "yes" if met else "**no**"
        figures = figure(peer.values(), g.unit), figure(ours.values(), g.unit)
        lines.append("| " + " | ".join((g.id, g.what, *figures, ratio, wanted, verdict)) + " |")
    return "\n".join(lines)


FAULT_COLUMNS = ("sent", "acknowledged", "delivered", "acknowledged_lost", "doubled", "reordered")
CROWD_COLUMNS = ("expected", "delivered", "duplicated", "out_of_order")


def deliveries(runs):
    """What became of the messages under faults: sums over the repetitions."""
    good = [d for d in runs if "error" not in d]
    faults = [d for d in good if d["test"].startswith("faults-")]
    crowds = [d for d in good if d["test"].startswith("crowd-")]
    lines = []
    if faults:
        lines += ["", "| Fault | Server | sent | acknowledged | delivered | acknowledged, not delivered | twice | out of order |",
                  "|---|---|--:|--:|--:|--:|--:|--:|"]
    for test, variant in dict.fromkeys((d["test"], d["variant"]) for d in faults):
        mine = [d for d in faults if (d["test"], d["variant"]) == (test, variant)]
        sums = {k: sum(d[k] for d in mine) for k in FAULT_COLUMNS}
        shown = [f"{sums[k]:,}" for k in FAULT_COLUMNS]
        shown[2] += f" ({100 * sums['delivered'] / max(sums['sent'], 1):.1f} %)"
        lines.append("| " + " | ".join((test.removeprefix("faults-"), variant, *shown)) + " |")
    if crowds:
        lines += ["", "| Crowd | Server | missed | delivered | twice | out of order | all connected | all caught up | CPU per client |",
                  "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for test, variant in dict.fromkeys((d["test"], d["variant"]) for d in crowds):
        mine = [d for d in crowds if (d["test"], d["variant"]) == (test, variant)]
        shown = [f"{sum(d[k] for d in mine):,}" for k in CROWD_COLUMNS]
        for key in ("back", "caught_up"):
            shown.append(figure([crowd_seconds(key)(d) for d in mine], "s"))
        shown.append(figure([d["cpu_us_per_member"] for d in mine], "µs"))
        lines.append("| " + " | ".join((test.removeprefix("crowd-"), variant, *shown)) + " |")
    return lines


def doubts(runs):
    """What a reader should know before believing the table."""
    out = []
    for d in runs:
        name = f"{d['test']}/{d['variant']}/{d['rep']}"
        if "error" in d:
            out.append(f"{name} failed: {d['error']}")
            continue
        if "echoes_lost" in d and (faults(d) or d["out_of_order"]):
            out.append(f"{name}: {faults(d)} lost, doubled or wrong, {d['out_of_order']} out of order")
        for key in ("send_errors", "unacked", "closed", "foreign", "bad_pages"):
            if d.get(key):
                out.append(f"{name}: {key} {d[key]} {d.get('first_error') or ''}".rstrip())
        if d["test"] == "presence" and d["rosters_wrong"]:
            out.append(f"{name}: {d['rosters_wrong']} connections ended with a wrong roster")
        if d.get("mode") == "history" and d["items_per_page_least"] != 50:
            out.append(f"{name}: pages of {d['items_per_page_least']} to {d['items_per_page']} messages, not 50")
        # its timers tick every millisecond, so a little is normal and in no latency
        if d.get("rate") and d["send_slip"]["p99_us"] > 5000:
            out.append(f"{name}: the load generator itself was late (p99 {d['send_slip']['p99_us']} µs)")
        if d.get("machine_other_pct", 0) > 10 or d.get("machine_steal_pct", 0) > 5:
            out.append(f"{name}: noisy machine (others {d['machine_other_pct']} %, stolen {d['machine_steal_pct']} %)")
    return out


def report(head, runs):
    """The whole report as markdown."""
    notes = ["", "Notes:", *(f"- {x}" for x in found)] if (found := doubts(runs)) else []
    lines = [f"{head['date']}, {head['machine']}", "", "; ".join(f"{k} {v}" for k, v in head["versions"].items())]
    if head["quick"]:
        lines += ["", "**--quick: this only shows that everything runs; the figures mean nothing.**"]
    if head["aa"]:
        lines += ["", "**--aa: both columns are Node; the ratios show how noisy the machine is.**"]
    lines += ["", f"Medians of {head['reps']} interleaved runs (least–most).", "", table(runs), *deliveries(runs), *notes]
    return "\n".join(lines)


def read(path):
    with open(path, encoding="utf-8") as f:
        head, *runs = map(json.loads, f)
    return head, runs


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(report(*read(sys.argv[1])))
