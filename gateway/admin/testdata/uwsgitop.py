"""Reads statistics as uwsgitop 0.12 does, and prints what its screen would show.

Retold from its source, without the screen: `uwsgitop.py ADDRESS`, with host:port,
@name or a path. Like uwsgitop it fails without any field that it takes for
granted. There are two refreshes for each of its modes, the keys `a` cycle through:
0 workers, 1 the cores in place of the workers, 2 the cores below them.
"""

import json
import socket
import sys
import time


def connect(address):
    if ":" in address:
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.connect((host, int(port)))
        return s
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("\0" + address[1:] if address.startswith("@") else address)
    return s


def read(address):
    """Sends nothing, and reads until the other side closes."""
    text = ""
    with connect(address) as s:
        while data := s.recv(4096):
            text += data.decode("utf8", "ignore")
    return json.loads(text)


def size(n):
    for unit, name in (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"):
        if n >= unit:
            return "%.1f%s" % (n / unit, name)
    return "%d" % n


def share(total, part):
    return 100 * float(part) / float(total) if total else 0.0


class Top:
    def __init__(self):
        self.refreshed = time.time()
        self.worker_requests = {}
        self.core_requests = {}

    def rate(self, before, key, requests, elapsed):
        rate = (requests - before.get(key, 0)) / elapsed
        before[key] = requests
        return rate

    def show(self, doc, mode):
        print("node: - cwd: %s - uid: %d - gid: %d - masterpid: %d" % (doc["cwd"], doc["uid"], doc["gid"], doc["pid"]))
        if "vassals" in doc:
            print("emperor: %s - tyrant: %d" % (doc["emperor"], doc["emperor_tyrant"]))
            return
        workers = doc["workers"]  # of FastRouter it shows nothing, and older ones fail
        elapsed, self.refreshed = time.time() - self.refreshed, time.time()
        total = sum(w["requests"] for w in workers)
        rates = {w["id"]: self.rate(self.worker_requests, w["id"], w["requests"], elapsed) for w in workers}
        all_rates = sum(rates.values())
        cores = {w["id"]: [c for c in w.get("cores", []) if c["requests"]] for w in workers} if mode else {}
        if mode == 1:
            workers = [dict(w, **c, id="%s:%s" % (w["id"], c["id"])) for w in workers for c in cores[w["id"]]]
        tx = size(sum(w["tx"] for w in workers))
        print("uwsgi-%s - req: %d - RPS: %d - lq: %d - tx: %s" % (doc["version"], total, round(all_rates), doc.get("listen_queue", 0), tx))
        for w in sorted(workers, key=lambda w: w["requests"], reverse=True):
            self.show_worker(w, total, rates)
            for c in cores.get(w["id"], []) if mode == 2 else []:
                print("  :%s %.1f %d %s" % (c["id"], share(total, c["requests"]), c["requests"], "busy" if c["in_request"] else "idle"))

    def show_worker(self, w, total, rates):
        spawned = time.strftime("%H:%M:%S", time.localtime(w["last_spawn"])) if w["last_spawn"] else "--:--:--"
        w["status"].startswith("sig")  # which would be yellow
        print(" %s %.1f %d %d %d %d %d %s %dms %s %s %s %s %s %s %s" % (
            w["id"], share(total, w["requests"]), w["pid"], w["requests"], round(rates[w["id"]]), w["exceptions"],
            w.get("signals", 0), w["status"], w["avg_rt"] / 1000, size(w["rss"]), size(w["vsz"]),
            size(w["tx"]), w["respawn_count"], w["harakiri_count"], w["running_time"] / 1000, spawned))


top = Top()
for mode in 0, 0, 1, 1, 2, 2:
    top.show(read(sys.argv[1]), mode)
