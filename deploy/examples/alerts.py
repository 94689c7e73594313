#!/usr/bin/env python3
"""Reads alert changes, each once: pip install confluent-kafka; python3 alerts.py localhost:9092 cx.alerts
With output.format = "avro": pip install confluent-kafka[avro]; the registry's address is the third argument.

read_committed hides what was rolled back. A change is known by alert_id and revision: after a crash of this program the
changes since its last commit come again, and are dropped here. Replace `act` by what you do with an alert.
"""
import collections
import json
import sys

from confluent_kafka import Consumer


def act(alert):
    print(alert["phase"], alert["kind"], alert["severity"], alert["alert_id"], flush=True)


def reader(registry):
    if registry is None:
        return json.loads
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer

    deserializer = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    return lambda value: deserializer(value, None)


def main(brokers, topic, registry=None):
    read = reader(registry)
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "alerts-example", "isolation.level": "read_committed",
        "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    seen = collections.OrderedDict()  # keep it where you keep what `act` did, if that must survive a restart
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        alert = read(message.value())
        change = alert["alert_id"], alert["revision"]
        if change not in seen:
            act(alert)
            seen[change] = None
            if len(seen) > 100_000:
                seen.popitem(last=False)
        consumer.commit(message, asynchronous=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
