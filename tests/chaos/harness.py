"""What every run shares: the client in an environment of its own, the service's commands, reading topics, and the
checks of what a group committed."""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENT = ["kafka-python==3.0.12", "lz4==4.4.4"]


def with_client():
    """Runs this script again with the Kafka client, in an environment of its own under target/."""
    home = ROOT / "target" / "chaos"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *CLIENT], check=True)
    os.execv(python, [str(python), *sys.argv])


try:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
except ImportError:
    with_client()

import oracle  # noqa: E402
import reference  # noqa: E402

CHANNELS = ["web", "mobile", "store", "support"]
INPUTS = [f"in.{channel}" for channel in CHANNELS]
ROLES = ["alerts", "experience", "dlq", "journal", "images", "repartition"]
CONFIG = """{before}
[[input]]
name = "touchpoints"
topics = {inputs}
format = "touchpoint-json"
[kafka]
bootstrap_servers = "{brokers}"
group_id = "{group}"
group_instance_id = "{instance}"
start_from = "earliest"
workers = {workers}
idle_ticks = {idle_ticks}
merge_wait_max = "{merge_wait_max}"
transaction_timeout = "8s"
[kafka.properties]
"client.id" = "{instance}"
[kafka.consumer_properties]
"session.timeout.ms" = "6000"
"heartbeat.interval.ms" = "500"
[topics]
partitions = {partitions}
replication_factor = {copies}
alerts = "{group}-alerts"
experience = "{group}-experience"
dlq = "{group}-dlq"
[admin]
listen = "{admin}"
{after}"""


class Harness:
    """`direct` is the brokers' address for what watches, `brokers` the one the service is given."""

    def __init__(self, binary, direct, folder, brokers=None, by_reference=False, copies=1):
        self.copies, self.workers = copies, 2
        # Whether the service runs what the reference model knows, and is compared with it.
        self.by_reference, self.models, self.experience = by_reference, None, None
        self.binary, self.direct, self.folder = binary, direct, folder
        self.brokers = brokers or direct
        self.checks, self.failed = 0, False
        # The inputs by now, and their partitions.
        self.counts = {topic: oracle.PARTITIONS for topic in INPUTS}

    def touchline(self, *arguments):
        answer = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, check=False)
        if answer.returncode != 0:
            raise RuntimeError(f"touchline {arguments[0]}: {answer.stderr.decode()}")
        return answer

    def config(self, group, instance=None, brokers=None, admin="", live=False):
        """The configuration of an instance; by the direct address it is for the commands that watch."""
        instance = instance or group
        path, before, after = self.folder / f"{instance}.toml", "", ""
        if self.by_reference:
            catalogue = self.folder / "catalogue.toml"
            catalogue.write_text(reference.CATALOGUE)
            before, after = reference.settings(catalogue)
        path.write_text(
            CONFIG.format(
                before=before,
                after=after,
                inputs=json.dumps(list(self.counts)),
                brokers=brokers or self.direct,
                group=group,
                instance=instance,
                partitions=oracle.PARTITIONS,
                copies=self.copies,
                workers=self.workers,
                admin=admin,
                # A finished backlog is merged to the end whatever it takes; a live flow has to go on.
                idle_ticks="true" if live else "false",
                merge_wait_max="2s" if live else "60s",
            )
        )
        return path

    def start(self, config):
        with open(config.with_suffix(".log"), "ab") as log:
            return subprocess.Popen([self.binary, "run", "--config", config], stdout=log, stderr=log)

    def last_words(self, config):
        """Why an instance ended: the last line it wrote."""
        words = config.with_suffix(".log").read_text(errors="replace").splitlines()
        return words[-1] if words else "it said nothing"

    def consumer(self, isolation="read_committed", **more):
        return KafkaConsumer(
            bootstrap_servers=self.direct,
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=5_000,
            **more,
        )

    def places(self, topic):
        return [TopicPartition(topic, partition) for partition in range(self.counts.get(topic, oracle.PARTITIONS))]

    def ends(self, topic, isolation):
        with contextlib.closing(self.consumer(isolation)) as consumer:
            ends = consumer.end_offsets(self.places(topic))
        return {(place.topic, place.partition): end for place, end in ends.items()}

    def input_places(self):
        return [place for topic in self.counts for place in self.places(topic)]

    def input_ends(self):
        ends = {}
        for topic in self.counts:
            ends |= self.ends(topic, "read_uncommitted")
        return ends

    def read(self, topic):
        """Every committed record of a topic, in order of partition and offset."""
        records = []
        with contextlib.closing(self.consumer()) as consumer:
            ends = consumer.end_offsets(self.places(topic))
            consumer.assign(list(ends))
            consumer.seek_to_beginning(*ends)
            while any(consumer.position(place) < end for place, end in ends.items()):
                for batch in consumer.poll(timeout_ms=1_000).values():
                    records += batch
        records.sort(key=lambda record: (record.partition, record.offset))
        return records

    def check(self, what, records, problems):
        self.checks += 1
        self.failed |= bool(problems)
        print(f"  {'FAILED' if problems else 'ok':<7}{what} ({records} records)", flush=True)
        for problem in problems[:5]:
            print(f"         {problem}")

    def judge(self, group, config):
        """Every check of a group that came to the end of its input. Answers its alerts by partition, what the journal
        replays to, and the watermark of each partition."""
        topics = {role: f"{group}-{role}" for role in ROLES}
        live = oracle.lines(self.read(topics["alerts"]))
        alerts = sum(map(len, live.values()))
        experience = self.folder / f"{group}.experience.jsonl"
        try:
            answer = self.touchline("replay", "--journal", "--config", config, "--experience", experience)
            replayed, problems = answer.stdout.splitlines(), []
        except RuntimeError as error:
            replayed, problems = [], [str(error)]
            experience.touch()
        problems += oracle.equal_to_journal(live, replayed)
        self.check("alerts equal `replay --journal`, byte for byte", alerts, problems)
        current = self.read(topics["experience"])
        problems = oracle.current_experience(current, experience.read_bytes().splitlines(), self.by_reference)
        self.check("the current experience of each customer is the replayed one", len(current), problems)
        ends, records, forwarded = self.input_ends(), self.read(topics["journal"]), self.forwarded(group)
        through = topics["repartition"]
        reads = [oracle.reads(at, self.counts, ends, through, forwarded) for at in range(oracle.PARTITIONS)]
        problems, counters, watermarks, touchpoints = oracle.journal_is_whole(records, reads)
        self.check("the journal is whole", touchpoints, problems)
        letters, total = len(self.read(topics["dlq"])), sum(ends.values())
        problems = oracle.fates_add_up(counters, total, self.poison(), letters, touchpoints, len(forwarded))
        self.check("every record has one fate", total + len(forwarded), problems)
        self.check("no transaction is open", alerts, self.open_transactions(topics.values()))
        if self.by_reference:
            self.models, self.experience = reference.model_of(records), current
            problems = reference.deviations(self.models, live, current)
            self.check("alerts and experience are those of the reference model", alerts + len(current), problems)
            self.check("the reference model had something to tell", alerts, reference.unexercised(self.models))
            if not reference.deviations(reference.altered(records), live, current):
                self.check("gate: an altered reference model is seen", 1, ["it is not"])
        return live, replayed, watermarks

    def forwarded(self, group):
        """What went through the repartition topic, without the marks in it."""
        records = self.read(f"{group}-repartition")
        return [record for record in records if any(name == "touchline.origin" for name, _ in record.headers)]

    def poison(self):
        """How many records of the input are not touchpoints, counted here."""
        return sum(not oracle.is_touchpoint(record.value) for topic in self.counts for record in self.read(topic))

    def open_transactions(self, topics):
        problems = []
        for topic in topics:
            problems += oracle.nothing_open(self.ends(topic, "read_uncommitted"), self.ends(topic, "read_committed"))
        return problems

    def gate(self, group, live, checks):
        """The checks must see what is broken on purpose. `checks`: by name, from alerts to deviations."""
        if self.by_reference:
            checks = checks | {"reference": lambda broken: reference.deviations(self.models, broken, self.experience)}
            broken = oracle.experience_mutated(self.experience)
            if not reference.deviations(self.models, live, broken):
                self.check("gate: altered experience is seen by the reference", 1, ["it is not"])
        for what, broken in oracle.mutated(live).items():
            for name, check in checks.items():
                # Neighbours of different customers may be in any order for the file.
                if (what, name) != ("swapped", "file") and not check(broken):
                    self.check(f"gate: {what} is seen by the {name}", 1, ["it is not"])
        producer = KafkaProducer(bootstrap_servers=self.direct, transactional_id="gate")
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(f"{group}-alerts", b"{}", partition=0)
        producer.flush()
        seen = self.open_transactions([f"{group}-alerts"])
        producer.abort_transaction()
        producer.close()
        self.check("gate: six mutations are seen", 6, [] if seen else ["an open transaction is not"])


def arguments_of(description, add):
    parser = argparse.ArgumentParser(description=description)
    add(parser)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "touchline", help="the release build")
    parser.add_argument("--keep", action="store_true", help="keep configurations and logs")
    return parser.parse_args()


@contextlib.contextmanager
def kept_if_it_fails(arguments):
    """A folder that is kept, with the command that repeats the run, unless `done` is called on what this answers."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="touchline-chaos-"))
    print(f"seed {arguments.seed}, folder {folder}", flush=True)
    outcome = argparse.Namespace(folder=folder, ok=False)
    try:
        yield outcome
    finally:
        if outcome.ok and not arguments.keep:
            subprocess.run(["rm", "-r", folder], check=True)
        else:
            print(f"kept: {folder}; again: {' '.join(sys.argv)}", flush=True)
