"""A real Apache Kafka for one run: one JVM in KRaft mode on free loopback ports, with a data folder of its own."""

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
    a proxy may stand."""

    def __init__(self, folder, abort_interval_ms=1_000):
        self.folder = pathlib.Path(folder)
        direct_port, self.port, controller_port = free_port(), free_port(), free_port()
        self.direct = f"127.0.0.1:{direct_port}"
        self.advertised_port = free_port()
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"DIRECT://{self.direct},PROXIED://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"DIRECT://{self.direct},PROXIED://127.0.0.1:{self.advertised_port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "DIRECT",
            "log.dirs": self.folder / "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": abort_interval_ms,
            "auto.create.topics.enable": "false",
        }
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self.process = None

    def java(self, *arguments):
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{libraries()}/*", *map(str, arguments)]

    def start(self):
        """Answers when it accepts connections."""
        with open(self.folder / "broker.log", "ab") as log:
            command = self.java("kafka.Kafka", self.properties)
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
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

    def __enter__(self):
        format_ = ["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", self.properties]
        with open(self.folder / "broker.log", "ab") as log:
            subprocess.run(self.java("kafka.tools.StorageTool", *format_), check=True, stdout=log, stderr=log)
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
