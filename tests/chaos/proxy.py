"""A TCP proxy before the broker that knows enough of the protocol to find a request of a kind: it can lose, delay or
double EndTxn, and stop time for a client at any kind of request or answer, so that it can be killed just there. It can
also cut, refuse and freeze every connection. It runs in a thread of its own."""

import asyncio
import collections
import struct
import threading
import time

PRODUCE, FETCH, HEARTBEAT, SYNC_GROUP, END_TXN, TXN_OFFSET_COMMIT = 0, 1, 12, 14, 26, 28
# From here on the body's strings are of another kind.
HEARTBEAT_FLEXIBLE = 4
REQUEST, ANSWER = "request", "answer"


class Proxy:
    """`end_txn(kind, seconds)` arms a fault for the next EndTxn:

    - `reply_lost`: the broker does it, the answer is thrown away with the connection;
    - `reply_late`: the answer comes `seconds` later;
    - `ghost`: the connection is cut before the broker hears of it; the request reaches it `seconds` later;
    - `doubled`: the broker hears it twice."""

    def __init__(self, port, upstream_port):
        self.port, self.upstream_port = port, upstream_port
        self.armed = collections.deque()
        self.trap = None
        self.done = collections.Counter()
        # The group's greatest generation that a member named.
        self.generation = 0
        self.paused_until = self.refused_until = 0.0
        self.connections = set()
        self.loop = asyncio.new_event_loop()
        self.background = set()

    def __enter__(self):
        up = threading.Event()

        def serve():
            asyncio.set_event_loop(self.loop)
            server = asyncio.start_server(self.connected, "127.0.0.1", self.port, limit=1 << 26)
            self.server = self.loop.run_until_complete(server)
            up.set()
            self.loop.run_forever()

        threading.Thread(target=serve, daemon=True).start()
        up.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)

    def end_txn(self, kind, seconds=0.0):
        self.loop.call_soon_threadsafe(self.armed.append, (kind, seconds))

    def caught(self, api, side, client, patience_seconds):
        """Waits for the next request of this kind by a client, or for its answer: it goes no further, as long as its
        connection lives. Answers the client, None if none came."""
        trap = Trap(api, side, client)
        self.trap = trap
        trap.sprung.wait(patience_seconds)
        self.trap = None
        return trap.caught

    def cut(self, seconds):
        """Every connection is closed, new ones are refused for a while."""

        def now():
            self.refused_until = time.monotonic() + seconds
            for writer in self.connections:
                writer.transport.abort()

        self.loop.call_soon_threadsafe(now)

    def freeze(self, seconds):
        """Nothing passes for a while, in either direction, and nobody is told."""
        self.paused_until = time.monotonic() + seconds

    async def passable(self):
        while (wait := self.paused_until - time.monotonic()) > 0:
            await asyncio.sleep(min(wait, 0.1))

    async def connected(self, reader, writer):
        if time.monotonic() < self.refused_until:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port, limit=1 << 26)
        except OSError:
            writer.transport.abort()
            return
        self.connections.add(writer)
        link = Link(self, reader, writer, *upstream)
        answers = asyncio.ensure_future(link.answers())
        try:
            await link.requests()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.transport.abort()
            if not link.is_haunted:
                upstream[1].transport.abort()
                answers.cancel()


class Trap:
    """`client` None = any."""

    def __init__(self, api, side, client):
        self.api, self.side, self.client = api, side, client
        self.caught, self.sprung = None, threading.Event()

    def catches(self, api, side, client):
        if self.caught is not None or (self.api, self.side) != (api, side) or self.client not in (None, client):
            return False
        self.caught = client
        self.sprung.set()
        return True


class Link:
    """One connection of a client and the one to the broker that belongs to it."""

    def __init__(self, proxy, reader, writer, broker_reader, broker_writer):
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.broker_reader, self.broker_writer = broker_reader, broker_writer
        self.faults = collections.defaultdict(collections.deque)
        # Of requests whose answer has not come: what they are and whose.
        self.asked = {}
        # The client is gone, but a request of its is still on the way.
        self.is_haunted = False

    async def requests(self):
        while True:
            frame = await read_frame(self.reader)
            await self.proxy.passable()
            api, version, correlation, name = struct.unpack(">hhih", frame[4:14])
            body = 14 + max(name, 0)
            client = frame[14:body].decode()
            if api == HEARTBEAT and version < HEARTBEAT_FLEXIBLE:
                (group,) = struct.unpack(">h", frame[body : body + 2])
                (generation,) = struct.unpack(">i", frame[body + 2 + group : body + 6 + group])
                self.proxy.generation = max(self.proxy.generation, generation)
            self.asked[correlation] = api, client
            if (trap := self.proxy.trap) and trap.catches(api, REQUEST, client):
                await self.reader.read()
                return
            if api == END_TXN and self.proxy.armed:
                kind, seconds = self.proxy.armed.popleft()
                self.proxy.done[kind] += 1
                if kind == "ghost":
                    self.is_haunted = True
                    later = asyncio.ensure_future(self.haunt(frame, seconds))
                    self.proxy.background.add(later)
                    later.add_done_callback(self.proxy.background.discard)
                    return
                if kind == "doubled":
                    self.faults[correlation].extend([("pass", 0), ("swallow", 0)])
                    self.broker_writer.write(frame)
                else:
                    self.faults[correlation].append((kind, seconds))
            self.broker_writer.write(frame)
            await self.broker_writer.drain()

    async def haunt(self, frame, seconds):
        await asyncio.sleep(seconds)
        try:
            self.broker_writer.write(frame)
            await self.broker_writer.drain()
            await asyncio.sleep(1)
        except OSError:
            self.proxy.done["ghost met no broker"] += 1
        self.broker_writer.transport.abort()

    async def answers(self):
        try:
            while True:
                frame = await read_frame(self.broker_reader)
                await self.proxy.passable()
                (correlation,) = struct.unpack(">i", frame[4:8])
                api, client = self.asked.pop(correlation, (None, None))
                if (trap := self.proxy.trap) and trap.catches(api, ANSWER, client):
                    return
                kind, seconds = "pass", 0
                if self.faults[correlation]:
                    kind, seconds = self.faults[correlation].popleft()
                else:
                    del self.faults[correlation]
                if kind == "reply_lost":
                    self.writer.transport.abort()
                elif kind == "reply_late":
                    await asyncio.sleep(seconds)
                if kind not in ("reply_lost", "swallow") and not self.is_haunted:
                    self.writer.write(frame)
                    await self.writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.writer.transport.abort()


async def read_frame(reader):
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack(">i", head)[0])
