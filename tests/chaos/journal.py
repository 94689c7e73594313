"""Reads the journal in the format that `src/journal/mod.rs` documents. Shares nothing with the program."""

import typing

FORMATS = 3, 4


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def uint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def int(self):
        value = self.uint()
        return (value >> 1) ^ -(value & 1)

    def hash(self):
        self.at += 8
        return int.from_bytes(self.data[self.at - 8 : self.at], "little")

    def text(self):
        size = self.uint()
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def opt(self, read):
        return read() if self.byte() else None


def header(reader):
    """The header of a record as a dict."""
    assert reader.byte() in FORMATS, "unknown journal format"
    flags = reader.byte()
    return {
        "last": bool(flags & 1),
        "epoch": reader.hash(),
        "seq": reader.uint(),
        "part": reader.uint(),
        "partition": reader.int(),
        "config": reader.hash(),
        "engine": reader.uint(),
        "watermark": reader.opt(reader.int),
        "clock": reader.opt(reader.int),
        "counters": [reader.uint() for _ in range(reader.uint())],
        "limiter": [reader.uint() for _ in range(3)],
        "sources": [(reader.text(), reader.opt(reader.int), reader.opt(reader.int)) for _ in range(reader.uint())],
    }


class Touchpoint(typing.NamedTuple):
    """`partition` only where it is not the record's own; signals are (score, weight), a rating (instrument, value), in
    millionths. The rest is read over."""

    source: int
    offset: int
    partition: typing.Optional[int]
    customer: str
    event: int
    occurred_at: int
    signals: list
    rating: typing.Optional[tuple]


class Removal(typing.NamedTuple):
    why: int
    customer: str


def skip_list(reader, read):
    for _ in range(reader.uint()):
        reader.byte()
        read()


def touchpoint(reader):
    flags = reader.uint()
    customer = reader.text()
    event = reader.hash()
    place = reader.uint(), reader.int()
    occurred_at = reader.int()
    reader.byte()
    reader.uint()
    reader.byte()
    reader.byte()
    signals = []
    for _ in range(flags & 3):
        reader.byte()
        signals.append((reader.int(), reader.int()))
    rating = None
    if flags & 1 << 2:
        rating = reader.byte(), reader.int()
        reader.int()
        reader.int()
    if flags & 1 << 3:
        reader.byte()
    for bit in (4, 5, 6):
        if flags & 1 << bit:
            reader.int()
    for bit in range(7, 13):
        if flags & 1 << bit:
            reader.text()
    if flags & 1 << 14:
        reader.byte()
    if flags & 1 << 15:
        skip_list(reader, reader.int)
    if flags & 1 << 16:
        skip_list(reader, reader.uint)
    if flags & 1 << 17:
        skip_list(reader, reader.int)
    if flags & 1 << 13:
        skip_list(reader, reader.text)
    partition = reader.int() if flags & 1 << 18 else None
    return Touchpoint(*place, partition, customer, event, occurred_at, signals, rating)


def record(data):
    """Header and entries of a record: touchpoints, removals, and the times of ticks."""
    reader = Reader(data)
    head, entries = header(reader), []
    while reader.at < len(data):
        tag = reader.byte()
        if tag == 0:
            entries.append(touchpoint(reader))
        elif tag == 1:
            entries.append(reader.int())
        else:
            # 3: the open alerts of a customer are told again. No run here gives another engine's tail to a new one.
            assert tag == 2, f"unknown entry {tag}"
            entries.append(Removal(reader.byte(), reader.text()))
    return head, entries
