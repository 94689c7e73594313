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
    """Started by `with`; its data goes with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        port, controller_port = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
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
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            "auto.create.topics.enable": "false",
        }
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self.process = None

    def java(self, *arguments):
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{libraries()}/*", *map(str, arguments)]

    def __enter__(self):
        format_ = ["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", self.properties]
        with open(self.folder / "broker.log", "ab") as log:
            out = {"stdout": log, "stderr": log}
            subprocess.run(self.java("kafka.tools.StorageTool", *format_), check=True, **out)
            self.process = subprocess.Popen(self.java("kafka.Kafka", self.properties), **out)
        deadline = time.monotonic() + 90
        host, port = self.address.split(":")
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"the broker did not start; see {self.folder}/broker.log")
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
