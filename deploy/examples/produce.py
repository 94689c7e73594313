#!/usr/bin/env python3
"""Sends a touchpoint: pip install confluent-kafka; python3 produce.py localhost:9092 cx.touchpoints.web

The key is the customer id. The partitioner must be Java's (murmur2_random); librdkafka's own default is another one, and
would spread a customer over partitions.
"""
import json
import sys
import time
import uuid

from confluent_kafka import Producer


def main(brokers, topic):
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "enable.idempotence": True})
    touchpoint = {
        "id": str(uuid.uuid4()), "source": "example", "customer_id": "c-1", "channel": "web",
        "kind": "review_posted", "occurred_at": int(time.time() * 1000), "rating": {"instrument": "stars", "value": 1}}
    failed = []
    producer.produce(topic, key=touchpoint["customer_id"], value=json.dumps(touchpoint),
                     on_delivery=lambda error, _: error and failed.append(error))
    producer.flush(30)
    return f"not delivered: {failed or 'no answer'}" if failed or len(producer) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
