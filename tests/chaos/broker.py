"""A real Apache Kafka for one run: a JVM a broker in KRaft mode on free loopback ports, with data folders of their own."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

VERSION = "4.3.0"
POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>kafka</artifactId>
<version>1</version><packaging>pom</packaging><dependencies><dependency><groupId>org.apache.kafka</groupId>
<artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency></dependencies></project>"""
ROOT = pathlib.Path(__file__).resolve().parents[2]


def libraries():
    """The folder with Kafka's jars, fetched by Maven on first use; the cache is that of the tests in Rust."""
    cache = pathlib.Path(os.environ.get("TOUCHLINE_TEST_CACHE", ROOT / "target" / "kafka-libs"))
    done = cache / f"kafka-{VERSION}"
    if not done.exists():
        part = cache / f"fetching-{os.getpid()}"
        part.mkdir(parents=True)
        (part / "pom.xml").write_text(POM)
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
        subprocess.run(command, cwd=part, check=True)
        # Renamed, so that a broken download is never taken for a whole one.
        (part / "libs").rename(done)
    return done


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Broker:
    """Started by `with`. Who connects to `direct` stays there; who connects to `port` is sent on to `advertised`, where
    a proxy may stand. `voters` are the (node, controller port) of a cluster, of which this is one."""

    def __init__(self, folder, abort_interval_ms=1_000, node=1, voters=None):
        self.folder = pathlib.Path(folder)
        voters = voters or {node: free_port()}
        direct_port, self.port = free_port(), free_port()
        self.direct = f"127.0.0.1:{direct_port}"
        self.advertised_port = free_port()
        self.copies, self.heap = len(voters), "512m" if len(voters) == 1 else "256m"
        insync = min(2, self.copies)
        properties = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in voters.items()),
            "listeners": f"DIRECT://{self.direct},PROXIED://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{voters[node]}",
            "advertised.listeners": f"DIRECT://{self.direct},PROXIED://127.0.0.1:{self.advertised_port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "DIRECT",
            "log.dirs": self.folder / "data",
            "default.replication.factor": self.copies,
            "min.insync.replicas": insync,
            "offsets.topic.replication.factor": self.copies,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": self.copies,
            "transaction.state.log.min.isr": insync,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": self.copies,
            "share.coordinator.state.topic.min.isr": insync,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": abort_interval_ms,
            "auto.create.topics.enable": "false",
        }
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self.process = None

    def java(self, *arguments):
        return ["java", f"-Xmx{self.heap}", "-XX:+UseSerialGC", "-cp", f"{libraries()}/*", *map(str, arguments)]

    def launch(self):
        with open(self.folder / "broker.log", "ab") as log:
            command = self.java("kafka.Kafka", self.properties)
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self):
        """Answers when it accepts connections."""
        self.launch()
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 90
        host, port = self.direct.split(":")
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"the broker did not start; see {self.folder}/broker.log")
                time.sleep(0.1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def format(self):
        arguments = ["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", self.properties]
        with open(self.folder / "broker.log", "ab") as log:
            subprocess.run(self.java("kafka.tools.StorageTool", *arguments), check=True, stdout=log, stderr=log)

    def __enter__(self):
        self.format()
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


class Cluster:
    """Three brokers: every partition on all of them, written when two have it. `kill` takes one after the other."""

    def __init__(self, folder, abort_interval_ms=1_000):
        voters, self.nodes, self.copies, self.turn = {node: free_port() for node in (1, 2, 3)}, [], 3, 0
        for node in voters:
            own = pathlib.Path(folder) / f"broker-{node}"
            own.mkdir()
            self.nodes.append(Broker(own, abort_interval_ms, node, voters))
        self.direct = ",".join(broker.direct for broker in self.nodes)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for broker in self.nodes:
                broker.format()
                broker.launch()
                stack.callback(broker.kill)
            for broker in self.nodes:
                broker.wait()
            self.stop = stack.pop_all().close
        return self

    def __exit__(self, *_):
        self.stop()

    def kill(self):
        self.nodes[self.turn % len(self.nodes)].kill()

    def start(self):
        self.nodes[self.turn % len(self.nodes)].start()
        self.turn += 1
