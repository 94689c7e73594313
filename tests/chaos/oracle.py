"""What must be true after a drain. Pure functions over what was read; each answers the deviations it found."""

import collections
import decimal
import json

import journal

PARTITIONS = 4
TIMER_GRACE_MS = 60_000


def is_touchpoint(value):
    """Whether a record of the simulator's is none of its bad ones."""
    try:
        touchpoint = json.loads(value or b"")
    except (ValueError, RecursionError):
        return False
    return isinstance(touchpoint, dict) and touchpoint.get("source") != "hostile"


def lines(records):
    """Values of records by partition."""
    by_partition = collections.defaultdict(list)
    for record in records:
        by_partition[record.partition].append(record.value)
    return by_partition


def by_customer(values):
    """Alert changes of each customer in order, without the place of the record behind them and the configuration."""
    customers = collections.defaultdict(list)
    for value in values:
        alert = json.loads(value)
        alert.pop("position", None)
        alert.pop("config_hash")
        customers[alert["customer_id"]].append(alert)
    return customers


def equal_to_journal(live, replayed):
    """The committed alerts are those that `replay --journal` gives, byte for byte, partition after partition."""
    expected = [value for partition in range(PARTITIONS) for value in live[partition]]
    if not expected:
        return ["no alert was committed: nothing is shown"]
    if expected == replayed:
        return []
    pairs = enumerate(zip(expected, replayed))
    at = next((at for at, (one, other) in pairs if one != other), min(len(expected), len(replayed)))
    return [f"{len(expected)} committed alerts, {len(replayed)} replayed; the first difference is at {at}"]


def equal_to_reader(live, seen):
    """A reader of committed records during the run saw what is there now, in the same order."""
    problems = []
    for partition in range(PARTITIONS):
        expected, found = live[partition], seen[partition]
        if expected != found:
            pairs = enumerate(zip(expected, found))
            at = next((at for at, (one, other) in pairs if one != other), min(len(expected), len(found)))
            problems.append(f"partition {partition}: {len(expected)} alerts, {len(found)} seen; differ from {at} on")
    return problems


def equal_to_files(live, replayed, watermarks):
    """Per customer, the alerts are those of an engine fed a file of the same records in the order of the merge. A file
    has an end, so its last timers fire there; the service waits for the grace to pass."""
    found, problems = 0, []
    replayed = by_customer(replayed)
    for partition, values in live.items():
        for customer, alerts in by_customer(values).items():
            found += len(alerts)
            expected = replayed.pop(customer, [])
            rest = expected[len(alerts) :]
            due = [a for a in rest if a["event_time"] <= watermarks[partition] - TIMER_GRACE_MS]
            if expected[: len(alerts)] != alerts or due:
                problems.append(f"a customer of partition {partition}: {len(alerts)} alerts, {len(expected)} expected")
    for alerts in replayed.values():
        if any(alert["event_time"] <= min(watermarks.values()) - TIMER_GRACE_MS for alert in alerts):
            problems.append("a customer has no alert and should")
    return problems if found else ["no alert was committed: nothing is shown"]


def current_experience(records, replayed, may_forget):
    """The newest experience of each customer on the topic is the newest the journal replays to, which does not tell whom it
    forgot: `may_forget` if another check knows."""
    current = {(record.partition, record.key): record.value for record in records}
    forgotten = {key.decode() for (_, key), value in current.items() if value is None and may_forget}
    current = sorted(value for value in current.values() if value is not None)
    expected = {}
    for value in replayed:
        expected[json.loads(value)["customer_id"]] = value
    expected = {customer: value for customer, value in expected.items() if customer not in forgotten}
    if not expected:
        return ["no experience was replayed: nothing is shown"]
    return [] if current == sorted(expected.values()) else [f"{len(current)} customers, {len(expected)} replayed"]


def reads(partition, counts, ends, through, forwarded):
    """What the owner of a partition must have read in the end: next offset by source. Topics with another number of
    partitions are read by the owner of partition 0, and their records once more from the topic `through`."""
    inbound = [record.offset + 1 for record in forwarded if record.partition == partition]
    expected = {topic: ends[topic, partition] if count == PARTITIONS else None for topic, count in counts.items()}
    expected[through] = max(inbound, default=0)
    if partition == 0:
        for topic, count in counts.items():
            if count != PARTITIONS:
                expected |= {f"{topic}[{number}]": ends[topic, number] for number in range(count)}
    return expected


def journal_is_whole(records, expected_reads):
    """The chain of headers has no gap, reads every source from its start to its end (by partition: see `reads`), and holds
    every accepted record once, in order. Answers the deviations, the counters and the watermark of each partition, and the
    touchpoints."""
    problems, counters, watermarks, touchpoints = [], {}, {}, 0
    last, places = {}, collections.defaultdict(lambda: -1)
    for record in records:
        head, entries = journal.record(record.value)
        partition, before = record.partition, last.get(record.partition)
        where = f"journal {partition} at {record.offset}"
        if head["partition"] != partition:
            problems.append(f"{where}: of partition {head['partition']}")
        expected = (1, 0) if before is None else (before["seq"] + 1, 0)
        if before is not None and not before["last"]:
            expected = (before["seq"], before["part"] + 1)
        if (head["seq"], head["part"]) != expected:
            problems.append(f"{where}: transaction {head['seq']}.{head['part']}, not {expected}")
        elif before is not None and before["epoch"] != head["epoch"]:
            problems.append(f"{where}: another epoch")
        elif before is not None and before["last"]:
            ended = {name: to for name, _, to in before["sources"]}
            problems += [f"{where}: {name} from {at}" for name, at, _ in head["sources"] if ended.get(name) != at]
        read = [entry[:3] for entry in entries if isinstance(entry, journal.Touchpoint)]
        for source, offset, origin in read:
            if offset <= places[partition, source, origin]:
                problems.append(f"{where}: record {offset} of source {source} again")
            places[partition, source, origin] = offset
        touchpoints += len(read)
        last[partition] = head
    for partition, head in last.items():
        if not head["last"]:
            problems.append(f"journal {partition} ends within a transaction")
        counters[partition], watermarks[partition] = head["counters"], head["watermark"]
        expected = expected_reads[partition]
        for name, _, to in head["sources"]:
            if to != expected.get(name):
                problems.append(f"journal {partition}: {name} read to {to} of {expected.get(name)}")
        if {name for name, _, _ in head["sources"]} != set(expected):
            problems.append(f"journal {partition}: other sources")
    if len(last) != PARTITIONS:
        problems.append(f"the journal has {len(last)} partitions")
    return problems, counters, watermarks, touchpoints


def fates_add_up(counters, inputs, poison, letters, touchpoints, forwarded):
    """Every record that is read has one fate, those that were sent on twice: there, and where they came to. Every bad one
    is a dead letter, every other one is in the journal."""
    applied, late, duplicate, refused, dlq, repartitioned = (
        sum(values[at] for values in counters.values()) for at in range(6)
    )
    problems = []
    if applied + late + duplicate + refused + dlq + repartitioned != inputs + forwarded:
        problems.append(f"the fates of {inputs} records sum to another number")
    if repartitioned != forwarded:
        problems.append(f"{repartitioned} sent on, {forwarded} in the repartition topic")
    if not dlq == poison == letters:
        problems.append(f"{poison} bad records, {dlq} rejected, {letters} dead letters")
    if touchpoints != inputs - dlq:
        problems.append(f"{touchpoints} touchpoints in the journal of {inputs - dlq}")
    return problems


def nothing_open(ends, stable):
    """Readers of committed records see every log to its end: no transaction is left open."""
    return [f"{place}: committed to {stable[place]} of {end}" for place, end in ends.items() if stable[place] != end]


def mutated(live):
    """Broken copies of the alerts, by what was done: the checks above must see each."""

    def copy():
        return collections.defaultdict(list, {partition: list(values) for partition, values in live.items()})

    partition = max(live, key=lambda partition: len(live[partition]))
    values = live[partition]
    at = next(at for at in range(len(values) // 2, len(values) - 1) if values[at] != values[at + 1])
    dropped, doubled, swapped, altered = copy(), copy(), copy(), copy()
    del dropped[partition][at]
    doubled[partition].insert(at, values[at])
    swapped[partition][at : at + 2] = [values[at + 1], values[at]]
    alert = json.loads(values[at])
    alert["revision"] += 1
    altered[partition][at] = json.dumps(alert).encode()
    return {
        "dropped": dropped,
        "doubled": doubled,
        "swapped": swapped,
        "altered": altered,
        "empty": collections.defaultdict(list),
    }


def experience_mutated(records):
    """The records with one figure of one altered by a millionth."""
    at = next(at for at, record in enumerate(records) if record.value)
    change = json.loads(records[at].value, parse_float=decimal.Decimal)
    change["after"]["perception"] += decimal.Decimal("0.000001")
    value = json.dumps(change, default=float).encode()
    return [*records[:at], records[at]._replace(value=value), *records[at + 1 :]]
