"""Records that nobody should send and somebody will, beyond those of `touchline simulate --poison`: sent beside the load. A
record whose `source` is "hostile" must be rejected, one of source "odd" is a touchpoint however strange. What comes as Avro,
to a topic of its own, must be rejected: schemas and data made to fall a decoder over."""

import collections
import copy
import http.server
import itertools
import json
import pathlib
import random
import struct
import threading
import time

from kafka import KafkaProducer
from kafka.partitioner.default import murmur2

HOUR_MS = 3_600_000
# Of the broker, and of the service, which takes a little more.
MESSAGE_BYTES_MAX = 1_048_588
BOMB_BYTES = 32 << 20
HEADERS = 10_000


def touchpoint(customer, number, source="odd", **more):
    known = {
        "id": f"odd-{number}", "source": source, "customer_id": customer, "channel": "web", "kind": "page_viewed",
        "occurred_at": int(time.time() * 1000) - 60_000,
    }  # fmt: skip
    return json.dumps(known | more).encode()


def plain(make):
    return lambda customer, number: (customer.encode(), make(customer, number), [])


def at(shift_ms, source="odd"):
    now = int(time.time() * 1000)
    return plain(lambda customer, number: touchpoint(customer, number, source, occurred_at=now + shift_ms))


def headers(count, size):
    return [(f"h-{number}", b"x" * size) for number in range(count)]


# By name: (key, value, headers) of a customer and a number.
KINDS = {
    "no key": lambda customer, number: (None, touchpoint(customer, number), []),
    "empty key": lambda customer, number: (b"", touchpoint(customer, number), []),
    "a million deep": plain(lambda customer, number: b'{"id":"x","attributes":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
    "a customer id of 900 kB": plain(lambda customer, number: touchpoint("c" * 900_000, number, "hostile")),
    "look-alike ids": lambda customer, number: (
        (look_alike := customer.replace("c", "\u0441", 1)).encode(),
        touchpoint(look_alike, number),
        [],
    ),
    "composed and decomposed ids": lambda customer, number: (
        (name := customer + ("\u00e9" if number % 2 else "e\u0301")).encode(),
        touchpoint(name, number),
        [],
    ),
    "a day ahead": at(23 * HOUR_MS),
    "a clock an hour ahead": at(HOUR_MS),
    "five years ago": at(-5 * 365 * 24 * HOUR_MS),
    "a fraction of a millisecond": plain(lambda customer, number: touchpoint(customer, number, "hostile", occurred_at=1e12 + 0.5)),
    "an object for a number": plain(lambda customer, number: touchpoint(customer, number, "hostile", wait_ms={"a": 1})),
    "an array": plain(lambda customer, number: b"[]"),
    "many headers": lambda customer, number: (customer.encode(), touchpoint(customer, number), headers(HEADERS, 8)),
    "many headers on a bad record": lambda customer, number: (customer.encode(), b"{", headers(HEADERS, 80)),
    "one great header": lambda customer, number: (customer.encode(), b"{", headers(1, 1_000_000)),
    # The dead letter has headers more, and no room for them.
    "as large as the broker takes": lambda customer, number: (customer.encode(), b"x" * (MESSAGE_BYTES_MAX - 150), []),
    "too many attributes": plain(
        lambda customer, number: touchpoint(customer, number, "hostile", attributes={f"a{at}": at for at in range(5_000)})
    ),
}


def avro():
    """By name: (schema, datum)."""
    schema = json.loads((pathlib.Path(__file__).resolve().parents[2] / "schemas" / "touchpoint.avsc").read_text())

    def first(type_):
        more = copy.deepcopy(schema)
        more["fields"].insert(0, {"name": "a", "type": type_})
        return more

    def array(items):
        return {"type": "array", "items": items}

    nine_million = b"\x80\xd1\xca\x08\0"
    deep = {"type": "record", "name": "Deep", "fields": [{"name": "inner", "type": ["null", "Deep"]}]}
    return {
        "Avro: nine million nothings in 5 bytes": (first(array("null")), nine_million),
        "Avro: nine million nothings, again and again": (first(array(array("null"))), (b"\x02" + nine_million) * 1_334),
        "Avro: ten thousand deep": (first(deep), b"\x02" * 10_000),
        "Avro: nine million numbers that do not come": (first(array("int")), nine_million),
        "Avro: more items than can be counted": (first(array("int")), b"\xff" * 9 + b"\x01"),
        "Avro: 2 GB of bytes that do not come": (first("bytes"), b"\xfe\xff\xff\xff\x0f"),
        "Avro: a branch that there is not": (first(["null", "long"]), b"\x08"),
        "Avro: an unknown schema": (None, b"\0"),
        "Avro: a touchpoint cut off": (schema, b"\x02"),
    }


class Registry(http.server.ThreadingHTTPServer):
    """A schema registry that knows those schemas by their place in the list."""

    def __init__(self):
        self.schemas = [schema for schema, _ in avro().values()]
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        at = self.path.split("?")[0].removeprefix("/schemas/ids/")
        schema = self.server.schemas[int(at)] if at.isdigit() and int(at) < len(self.server.schemas) else None
        found = {"schema": json.dumps(schema)} if schema else {"error_code": 40403, "message": "schema not found"}
        body = json.dumps(found).encode()
        self.send_response(200 if schema else 404)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Hostile(threading.Thread):
    """Sends them in turn, `rate` a second; now and then a batch that is far larger than it looks."""

    def __init__(self, brokers, topics, avro_topic, partitions, customers, rate, seed):
        super().__init__(daemon=True)
        self.topics, self.avro_topic, self.partitions, self.customers, self.rate = topics, avro_topic, partitions, customers, rate
        self.random, self.is_over, self.sent = random.Random(seed), threading.Event(), collections.Counter()
        options = {"bootstrap_servers": brokers, "max_request_size": 2 * BOMB_BYTES}
        self.producer = KafkaProducer(**options)
        self.bombs = KafkaProducer(**options, compression_type="gzip")
        self.pending, self.problem = [], None

    def run(self):
        try:
            framed = [(name, b"\0" + struct.pack(">I", at) + datum) for at, (name, (_, datum)) in enumerate(avro().items())]
            for number, (name, make) in enumerate(itertools.cycle([*KINDS.items(), *framed])):
                if self.is_over.wait(1 / self.rate):
                    break
                customer = f"c-{self.random.randrange(self.customers):07}"
                if number % 200 == 100:
                    value = b'{"source":"hostile","id":"' + b" " * BOMB_BYTES + b'"}'
                    self.send(self.bombs, "a bomb of 32 MiB in 32 kB", customer, (customer.encode(), value, []))
                if isinstance(make, bytes):
                    self.send(self.producer, name, customer, (customer.encode(), make, []), self.avro_topic)
                else:
                    self.send(self.producer, name, customer, make(customer, number))
            for future in self.pending:
                future.get(timeout=60)
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.problem = error

    def send(self, producer, name, customer, record, topic=None):
        key, value, headers_ = record
        # Where the customer lives, whatever the key says.
        home = (murmur2((key or customer.encode())) & 0x7FFFFFFF) % self.partitions
        self.pending.append(producer.send(topic or self.random.choice(self.topics), value, key or None, headers_, home))
        self.sent[name] += 1

    def end(self):
        self.is_over.set()
        self.join()
        if self.problem is not None:
            raise RuntimeError("hostile records could not be sent") from self.problem
        self.producer.close()
        self.bombs.close()
