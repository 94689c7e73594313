"""The experience model once more: small, in another language, exact. Fed with the journal it must tell the alerts and the
experience that the service told. It knows panes, perception, expectation, the experience index, three kinds of alerts
(two levels, one of single touchpoints), their life, timers, the daily limit, duplicates, late touchpoints and oblivion; for a
run with `SETTINGS` and `CATALOGUE`, in which everything else is switched off. Whole numbers only: scores in millionths,
times in milliseconds."""

import collections
import decimal
import heapq
import json
import math

import journal

ONE = 1_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SEVERITIES = ["info", "warning", "high", "critical"]
INSTRUMENTS = {0: "nps", 1: "csat", 3: "stars"}

PERCEPTION_HALF_LIFE, EXPECTATION_HALF_LIFE = 7 * DAY, 90 * DAY
PERCEPTION_PRIOR_WEIGHT, EXPECTATION_PRIOR_WEIGHT = 2 * ONE, 4 * ONE
EXPECTATION_PRIOR, EXPECTATION_EXCLUDES = ONE // 10, 24 * HOUR
LOSS_AVERSION, LOSS_CONFIDENCE_WEIGHT = 1_250_000, 10 * ONE
LATENESS, DAYS_KEPT, EXPERIENCE_STEP = 24 * HOUR, 120, 10
IDENTITIES_KEPT = 128
TICK_TIMERS_MAX = 10_000

# Thresholds that a load of mostly good news crosses both ways, often.
FORGET_AFTER, ALERTS_PER_DAY = 12 * HOUR, 2
LIVES = {
    "sentiment_drop": {"severity": 1, "for": 10 * MINUTE, "keep_firing_for": HOUR, "cooldown": 2 * HOUR, "max_open": 20 * HOUR},
    "expectation_gap": {"severity": 2, "for": 0, "keep_firing_for": 0, "cooldown": 3 * HOUR, "max_open": 9 * HOUR},
    "detractor": {"severity": 1, "for": 0, "keep_firing_for": 0, "cooldown": 5 * HOUR, "max_open": 12 * HOUR},
}
DROP = {"open": 50_000, "drop": 30_000, "scored_min": 2, "weight_min": 500_000, "lookback": 6 * HOUR, "close": 60_000}
GAP = {"expectation_min": 80_000, "weight_min": 400_000, "open": -90_000, "close": -40_000}
DETRACTOR = {"nps": 6 * ONE, "nps_high": 2 * ONE, "csat": 2 * ONE, "stars": 3 * ONE}
OTHERS = [
    "service_failure", "double_deviation", "recovery_confirmed", "journey_stalled", "silent_after_bad",
    "conversation_declining", "frustration_burst", "high_effort", "repeat_contact", "sla_breach", "advocate",
    "indirect_negative", "promise_overdue", "outcome_risk", "churn_risk",
]  # fmt: skip
CATALOGUE = """
[kinds.order_completed]
valence = 0.5
[kinds.order_delivered]
valence = 0.2
[kinds.products_searched]
valence = -0.3
weight = 0.6
[kinds.product_list_viewed]
valence = -0.25
[kinds.feature_used]
valence = 0.15
weight = 0.7
[kinds.contact_started]
valence = -0.9
weight = 2
[kinds.contact_resolved]
valence = 0.4
[kinds.rage_clicked]
valence = -0.6
[kinds.payment_failed]
valence = -1
weight = 3
"""


def settings(catalogue_file):
    """The settings of such a run, to be put before the other tables and after them."""
    tables = [f"[engine]\nforget_after = \"{FORGET_AFTER}ms\"\nalerts_per_day_max = {ALERTS_PER_DAY}"]
    for kind, facts in (("sentiment_drop", DROP), ("expectation_gap", GAP), ("detractor", DETRACTOR)):
        life, lines = LIVES[kind], [f"[rules.{kind}]", f'severity = "{SEVERITIES[LIVES[kind]["severity"]]}"']
        lines += [f'{name} = "{life[name]}ms"' for name in ("for", "keep_firing_for", "cooldown", "max_open")]
        for name, value in facts.items():
            plain = {"lookback": f'"{value}ms"', "scored_min": value}
            lines.append(f"{name} = {plain.get(name, decimal.Decimal(value) / ONE)}")
        tables.append("\n".join(lines))
    tables += [f"[rules.{kind}]\nenabled = false" for kind in OTHERS]
    return f"catalogue_file = {json.dumps(str(catalogue_file))}\n", "\n".join(tables) + "\n"


def ratio(a, b, c):
    """a·b/c, rounded towards zero."""
    value = abs(a * b) // abs(c)
    return value if (a * b < 0) == (c < 0) else -value


def decay_table():
    """2^(−i / 4096) with 30 bits after the point, by square roots."""
    step = 1 << 61
    for _ in range(12):
        step = math.isqrt(step << 62)
    table, factor = [], 1 << 62
    for _ in range(4_096):
        table.append(factor >> 32)
        factor = (factor * step) >> 62
    return table


DECAY = decay_table()


def decayed(value, age, half_life):
    steps = max(age, 0) * 4_096 // half_life
    magnitude = (abs(value) * DECAY[steps % 4_096]) >> (30 + steps // 4_096)
    return magnitude if value >= 0 else -magnitude


class Customer:
    def __init__(self):
        self.now = self.latest = None
        self.seen = collections.deque(maxlen=IDENTITIES_KEPT)
        # By hour, and by day before yesterday: [Σ weight·score, Σ weight, count].
        self.hours, self.days = {}, {}
        self.ratings, self.alerts, self.opened, self.published = {}, {}, (None, 0), None

    def advance(self):
        first_hour = (self.now // DAY - 1) * 24
        for hour in sorted(hour for hour in self.hours if hour < first_hour):
            pane = self.days.setdefault(hour // 24, [0, 0, 0])
            pane[:] = map(sum, zip(pane, self.hours.pop(hour)))
        for day in [day for day in self.days if day <= self.now // DAY - DAYS_KEPT]:
            del self.days[day]

    def add(self, time, score, weight):
        today = self.now // DAY
        if time // DAY <= today - DAYS_KEPT:
            return
        panes, index = (self.hours, time // HOUR) if time // DAY >= today - 1 else (self.days, time // DAY)
        pane = panes.setdefault(index, [0, 0, 0])
        pane[:] = map(sum, zip(pane, (ratio(score, weight, ONE), weight, 1)))

    def panes(self):
        for panes, unit in ((self.days, DAY), (self.hours, HOUR)):
            for index, pane in panes.items():
                yield index * unit + unit // 2, pane

    def sums(self, at, until, half_life):
        ws = w = 0
        for middle, pane in self.panes():
            if until is None or middle <= until:
                ws += decayed(pane[0], at - middle, half_life)
                w += decayed(pane[1], at - middle, half_life)
        return ws, w

    def perception(self, at, until=None):
        """And the weight behind it."""
        ws, w = self.sums(at, until, PERCEPTION_HALF_LIFE)
        return ratio(ws, ONE, w + PERCEPTION_PRIOR_WEIGHT), w

    def expectation(self, at):
        ws, w = self.sums(at, at - EXPECTATION_EXCLUDES, EXPECTATION_HALF_LIFE)
        prior = ratio(EXPECTATION_PRIOR, EXPECTATION_PRIOR_WEIGHT, ONE)
        return ratio(prior + ws, ONE, w + EXPECTATION_PRIOR_WEIGHT), w

    def experience(self):
        """The figures of an experience change."""
        (perception, _), (expectation, weight) = self.perception(self.now), self.expectation(self.now)
        felt = gap = perception - expectation
        if gap < 0:
            confidence = min(ratio(weight, ONE, LOSS_CONFIDENCE_WEIGHT), ONE)
            felt = ratio(gap, ONE + ratio(LOSS_AVERSION, confidence, ONE), ONE)
        index = 50 * ONE + ratio(40 * ONE, perception, ONE) + ratio(10 * ONE, max(-ONE, min(ONE, felt)), ONE)
        index = max(0, min(100, (index + ONE // 2) // ONE))
        return {
            "index": index,
            "perception": perception,
            "expectation": expectation,
            "disconfirmation": gap,
            "felt": felt,
            "pressure": 0,
        }

    def deadline(self):
        times = [self.latest + FORGET_AFTER]
        for kind, alert in self.alerts.items():
            times += alert.deadlines(LIVES[kind])
            if alert.phase == "firing" and alert.closing is None and kind != "detractor":
                times.append(self.now + DAY)
        return max(min(times), self.now + 1)


class Alert:
    """`phase`: pending, firing or cooling; `since`, or until when it cools."""

    def __init__(self, episode):
        self.episode, self.revision, self.phase, self.since, self.closing, self.severity = episode, 0, None, None, None, 0
        self.reading = None

    def deadlines(self, life):
        if self.phase == "pending":
            return [self.since + life["for"]]
        if self.phase == "cooling":
            return [self.since]
        closes = [] if self.closing is None else [self.closing + life["keep_firing_for"]]
        return [self.since + life["max_open"], *closes]


class Partition:
    """Takes the journal's entries; `alerts` and `experience` (by customer) are what must have been told."""

    def __init__(self):
        self.customers, self.timers = {}, []
        self.capped = 0
        self.alerts, self.experience = [], collections.defaultdict(list)
        self.episodes, self.changed = 0, {}

    def take(self, entries):
        """A transaction: of a customer's changes in it only the last is told."""
        for entry in entries:
            if isinstance(entry, journal.Touchpoint):
                self.touchpoint(entry)
            elif isinstance(entry, journal.Removal):
                raise ValueError("nobody is removed in such a run")
            else:
                self.tick(entry)
        for name, change in self.changed.items():
            self.experience[name].append(change)
        self.changed = {}

    def touchpoint(self, touchpoint):
        name, time = touchpoint.customer, touchpoint.occurred_at
        customer = self.customers.get(name)
        if customer is not None and touchpoint.event in customer.seen:
            return
        while customer is not None and (due := customer.deadline()) <= time:
            if not self.fire(name, customer, due):
                customer = None
        known = customer is not None
        if not known:
            customer = self.customers[name] = Customer()
            customer.now = customer.latest = time
        late, out_of_order = customer.latest - time > LATENESS, time < customer.latest
        customer.seen.append(touchpoint.event)
        customer.latest, customer.now = max(customer.latest, time), max(customer.now, time)
        customer.advance()
        for score, weight in touchpoint.signals:
            if weight > 0:
                customer.add(time, score, weight)
        turn = Turn(self, name, customer, time, not late and out_of_order)
        if not late:
            turn.levels()
            turn.rating(touchpoint.rating)
        turn.publish()
        self.schedule(name, customer)

    def tick(self, until):
        fired = 0
        while fired < TICK_TIMERS_MAX and self.timers and self.timers[0][0] <= until:
            deadline, due = self.timers[0][0], set()
            while self.timers and self.timers[0][0] == deadline:
                due.add(heapq.heappop(self.timers)[1])
            for name in sorted(due):
                customer = self.customers.get(name)
                if customer is None or customer.deadline() != deadline:
                    continue
                fired += 1
                if self.fire(name, customer, deadline):
                    self.schedule(name, customer)
                else:
                    # Gone for good: the newest value of the compacted topic is none.
                    self.changed[name] = None

    def schedule(self, name, customer):
        heapq.heappush(self.timers, (customer.deadline(), name))

    def fire(self, name, customer, deadline):
        """False if the customer is forgotten."""
        forgotten = deadline >= customer.latest + FORGET_AFTER
        customer.now = max(customer.now, deadline)
        turn = Turn(self, name, customer, deadline, False)
        if forgotten:
            turn.end("forgotten")
            del self.customers[name]
            return False
        customer.advance()
        turn.levels()
        turn.waiting()
        turn.publish()
        return True


class Turn:
    """One reading of one customer."""

    def __init__(self, partition, name, customer, event_time, out_of_order):
        self.partition, self.name, self.customer = partition, name, customer
        self.event_time, self.out_of_order, self.moved = event_time, out_of_order, False

    def levels(self):
        customer, now = self.customer, self.customer.now
        (perception, weight), (expectation, expected_on) = customer.perception(now), customer.expectation(now)
        if perception <= DROP["open"] or "sentiment_drop" in customer.alerts:
            then = now - DROP["lookback"]
            before, _ = customer.perception(then, then)
            scored = sum(pane[2] for middle, pane in customer.panes() if middle > then)
            enough = scored >= DROP["scored_min"] and weight >= DROP["weight_min"]
            if perception <= DROP["open"] and before - perception >= DROP["drop"] and enough:
                verdict = "open"
            else:
                verdict = "perception_recovered" if perception >= DROP["close"] else "hold"
            self.level("sentiment_drop", verdict, (before, perception, DROP["open"]))
        gap = perception - expectation
        if expectation >= GAP["expectation_min"] and expected_on >= GAP["weight_min"] and gap <= GAP["open"]:
            verdict = "open"
        else:
            verdict = "expectation_met" if gap >= GAP["close"] else "hold"
        self.level("expectation_gap", verdict, (expectation, perception, expectation + GAP["open"]))

    def level(self, kind, verdict, reading):
        if verdict == "open" or kind in self.customer.alerts:
            self.judge(kind, verdict, LIVES[kind]["severity"], ("perception", *reading))

    def rating(self, rating):
        if rating is None:
            return
        instrument, value = rating
        known = self.customer.ratings.get(instrument)
        if (name := INSTRUMENTS.get(instrument)) is not None and value <= DETRACTOR[name]:
            high = name == "nps" and value <= DETRACTOR["nps_high"]
            severity = max(LIVES["detractor"]["severity"], SEVERITIES.index("high") if high else 0)
            reading = (name, known[1] if known else None, value, DETRACTOR[name])
            self.judge("detractor", "open", severity, reading)
        if known is None or self.event_time >= known[0]:
            self.customer.ratings[instrument] = self.event_time, value

    def waiting(self):
        alert = self.customer.alerts.get("detractor")
        if alert is not None and min(alert.deadlines(LIVES["detractor"])) <= self.customer.now:
            self.judge("detractor", "hold", 0, alert.reading)

    def judge(self, kind, verdict, severity, reading):
        customer, life, now = self.customer, LIVES[kind], self.customer.now
        others = [alert for other, alert in customer.alerts.items() if other != kind and alert.phase == "firing"]
        severity = min(severity + bool(others), len(SEVERITIES) - 1)
        alert = customer.alerts.get(kind)
        phase = alert and alert.phase
        if phase == "cooling" and (now >= alert.since or (verdict == "open" and severity > alert.severity)):
            phase, alert = None, None
            if verdict != "open":
                del customer.alerts[kind]
        if phase is None:
            if verdict == "open":
                self.begin(kind, life, severity, reading)
        elif phase == "pending":
            if verdict != "open":
                del customer.alerts[kind]
            elif now - alert.since >= life["for"]:
                self.open(kind, alert, life, severity, reading)
        elif phase == "firing":
            self.firing(kind, alert, verdict, severity, reading)

    def begin(self, kind, life, severity, reading):
        self.partition.episodes += 1
        # In place of one that cools; else the last.
        alert = self.customer.alerts[kind] = Alert(self.partition.episodes)
        alert.phase, alert.since, alert.reading = "pending", self.customer.now, reading
        if life["for"] == 0:
            self.open(kind, alert, life, severity, reading)

    def open(self, kind, alert, life, severity, reading):
        customer, day = self.customer, self.customer.now // DAY
        alert.severity = severity
        if customer.opened == (day, ALERTS_PER_DAY):
            alert.phase, alert.since = "cooling", customer.now + life["cooldown"]
            self.partition.capped += 1
            return
        customer.opened = day, (customer.opened[1] if customer.opened[0] == day else 0) + 1
        alert.phase, alert.since, alert.reading = "firing", customer.now, reading
        self.tell("opened", kind, alert)

    def firing(self, kind, alert, verdict, severity, reading):
        life, now, is_level = LIVES[kind], self.customer.now, kind != "detractor"
        closes = verdict not in ("open", "hold")
        if closes and alert.closing is None:
            alert.closing = now
        over = closes and now - alert.closing >= life["keep_firing_for"]
        if (expired := now - alert.since >= life["max_open"]) or over:
            alert.phase, alert.since = "cooling", now + life["cooldown"]
            alert.reading = reading if is_level else alert.reading
            self.tell("resolved", kind, alert, "expired" if expired else verdict)
            return
        if not closes:
            alert.closing = None
        risen = verdict == "open" and severity > alert.severity
        if risen or (self.out_of_order and is_level and alert.reading[2] != reading[2]):
            alert.severity, alert.reading = max(alert.severity, severity) if risen else alert.severity, reading
            self.tell("updated", kind, alert)

    def end(self, reason):
        for kind, alert in self.customer.alerts.items():
            if alert.phase == "firing":
                self.tell("resolved", kind, alert, reason)

    def tell(self, phase, kind, alert, reason=None):
        self.moved |= phase != "updated"
        alert.revision += phase != "opened"
        figure, before, after, threshold = alert.reading
        told = {
            "phase": phase, "revision": alert.revision, "customer_id": self.name, "kind": kind,
            "severity": SEVERITIES[alert.severity], "event_time": self.event_time, "detected_at": self.customer.now,
            "figure": figure, "before": before, "after": after, "threshold": threshold, "reason": reason,
        }  # fmt: skip
        self.partition.alerts.append((alert.episode, told))

    def publish(self):
        customer, after = self.customer, self.customer.experience()
        before = customer.published
        if before is None or abs(before["index"] - after["index"]) >= EXPERIENCE_STEP or self.moved:
            customer.published = after
            firing = [kind for kind, alert in customer.alerts.items() if alert.phase == "firing"]
            self.partition.changed[self.name] = (customer.now, after, firing)


def millionths(number):
    return None if number is None else int(decimal.Decimal(number) * ONE)


def told_alert(value):
    """An alert of the topic as the model tells it, and its id."""
    alert = json.loads(value, parse_float=decimal.Decimal)
    names = ("phase", "revision", "customer_id", "kind", "severity", "event_time", "detected_at", "figure", "reason")
    told = {name: alert.get(name) for name in names}
    return alert["alert_id"], told | {name: millionths(alert.get(name)) for name in ("before", "after", "threshold")}


def told_experience(value):
    if value is None:
        return None
    change = json.loads(value, parse_float=decimal.Decimal)
    after = change["after"]
    figures = {name: int(after[name]) if name == "index" else millionths(after[name]) for name in after if name != "stage"}
    return change["time"], figures, [alert["kind"] for alert in change["open_alerts"]]


def model_of(records):
    """The model of each partition after all records of a journal, in order."""
    partitions, transactions = collections.defaultdict(Partition), collections.defaultdict(list)
    for record in records:
        head, entries = journal.record(record.value)
        transactions[record.partition] += entries
        if head["last"]:
            partitions[record.partition].take(transactions.pop(record.partition))
    return partitions


def unexercised(models):
    """What a run has to have led to, that the comparison means something, and has not."""
    seen = {(told["kind"], told["phase"]) for model in models.values() for _, told in model.alerts}
    seen |= {"capped"} if any(model.capped for model in models.values()) else set()
    seen |= {told["reason"] for model in models.values() for _, told in model.alerts}
    wanted = [(kind, phase) for kind in LIVES for phase in ("opened", "resolved")]
    wanted += ["perception_recovered", "expectation_met", "expired", "forgotten", "capped"]
    return [f"no {what} in the run: more touchpoints, or more --days" for what in wanted if what not in seen]


def altered(records):
    """What a model tells whose perception fades one percent more slowly."""
    global PERCEPTION_HALF_LIFE
    true_half_life, PERCEPTION_HALF_LIFE = PERCEPTION_HALF_LIFE, PERCEPTION_HALF_LIFE * 101 // 100
    try:
        return model_of(records)
    finally:
        PERCEPTION_HALF_LIFE = true_half_life


def deviations(models, alerts, experience):
    """From what is in the topics: `alerts` by partition, the records of `experience`."""
    problems = []
    for partition, model in sorted(models.items()):
        told, ids = [told_alert(value) for value in alerts[partition]], {}
        for at, ((episode, expected), (alert_id, found)) in enumerate(zip(model.alerts, told)):
            if expected != found:
                problems.append(f"alert {at} of partition {partition}: {found}, not {expected}")
                break
            if ids.setdefault(episode, alert_id) != alert_id:
                problems.append(f"alert {at} of partition {partition}: another id within an episode")
        if len(told) != len(model.alerts):
            problems.append(f"partition {partition}: {len(told)} alerts, not {len(model.alerts)}")
        if len(set(ids.values())) != len(ids):
            problems.append(f"partition {partition}: one id for two episodes")
        found = collections.defaultdict(list)
        for record in experience:
            if record.partition == partition:
                found[record.key.decode()].append(told_experience(record.value))
        for name, expected in model.experience.items():
            if found.pop(name, None) != expected:
                problems.append(f"partition {partition}: a customer's experience was told otherwise")
        if found:
            problems.append(f"partition {partition}: experience of {len(found)} others")
    return problems
