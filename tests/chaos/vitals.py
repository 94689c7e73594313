"""What the instances' processes take while it storms: memory, file descriptors and threads, read from /proc."""

import collections
import pathlib
import threading
import time

EVERY_SECONDS = 2.0
# A process of that age has restored its customers and its queues have filled once.
GROWN_UP_SECONDS = 60
RESIDENT_MIB_MAX = 1_024
# Beyond that in the lives of processes that are long enough to tell, something is never given back.
MIB_PER_HOUR_MAX = 60.0
COUNT_PER_HOUR_MAX = 8.0
TELLING_SECONDS = 900


class Vitals(threading.Thread):
    def __init__(self, instances):
        super().__init__(daemon=True)
        self.instances, self.is_over = instances, threading.Event()
        # By process: (age in seconds, MiB, descriptors, threads).
        self.course = []
        self.lives, self.born = collections.defaultdict(list), {}

    def run(self):
        while not self.is_over.wait(EVERY_SECONDS):
            for instance in self.instances:
                pid, now = instance.process.pid, time.monotonic()
                if (seen := vitals(pid)) is not None:
                    self.lives[pid].append((now - self.born.setdefault(pid, now), *seen))

    def slopes(self):
        """Of the longest life, beyond its youth: its seconds, and growth per hour of MiB, descriptors and threads by least
        squares; none if no process grew old."""
        grown = [[sample for sample in life if sample[0] >= GROWN_UP_SECONDS] for life in self.lives.values()]
        life = max(grown, key=len, default=[])
        if len(life) < 10:
            return None
        self.course = [life[len(life) * at // 5][1] for at in range(5)] + [life[-1][1]]
        return (life[-1][0], *(slope(life, column) * 3_600 for column in (1, 2, 3)))

    def most(self):
        """The most that any process took: MiB, descriptors, threads."""
        samples = [sample for life in self.lives.values() for sample in life]
        return [max((sample[column] for sample in samples), default=0) for column in (1, 2, 3)]

    def told(self):
        slopes = self.slopes()
        told = dict(zip(("mib_max", "descriptors_max", "threads_max"), self.most()))
        if slopes is not None:
            names = ("longest_life_s", "mib_per_hour", "descriptors_per_hour", "threads_per_hour")
            told |= {name: round(value, 2) for name, value in zip(names, slopes)} | {"mib_course": self.course}
        return told

    def problems(self, must_be_flat):
        """`must_be_flat`: the customers' state is full early in the run, and a process lives long enough to tell."""
        problems, most = [], self.most()
        if not most[1]:
            problems.append("nothing was measured")
        if most[0] > RESIDENT_MIB_MAX:
            problems.append(f"{most[0]} MiB resident, more than {RESIDENT_MIB_MAX}")
        if not must_be_flat:
            return problems
        slopes = self.slopes()
        if slopes is None or slopes[0] < TELLING_SECONDS:
            return [*problems, f"no process lived for {TELLING_SECONDS} s"]
        limits = {"MiB": MIB_PER_HOUR_MAX, "descriptors": COUNT_PER_HOUR_MAX, "threads": COUNT_PER_HOUR_MAX}
        for (name, limit), value in zip(limits.items(), slopes[1:]):
            if value > limit:
                problems.append(f"{value:.1f} {name} an hour more")
        return problems


def vitals(pid):
    """(MiB resident, descriptors, threads) of a process, none if it is gone."""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) >> 10, len(list((process / "fd").iterdir())), int(status["Threads"])
    except (OSError, KeyError):
        return None


def slope(samples, column):
    mean_x = sum(sample[0] for sample in samples) / len(samples)
    mean_y = sum(sample[column] for sample in samples) / len(samples)
    over = sum((sample[0] - mean_x) * (sample[column] - mean_y) for sample in samples)
    return over / sum((sample[0] - mean_x) ** 2 for sample in samples)
