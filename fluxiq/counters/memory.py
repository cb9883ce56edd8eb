"""What is remembered beside the counts, brought in the same trip that counts.

Entries are text under names of the caller's choosing. One script reads them and, if all are there
and none is a tombstone, counts and tallies; else it does nothing, and the caller asks elsewhere
and counts by itself.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from fluxiq.counters.naming import tag_of, tallies_name
from fluxiq.counters.process import process_lock
from fluxiq.counters.server import NOTE, Server, ServerAway

TOMBSTONE = "!"
TOMBSTONE_MILLISECONDS = 60_000
# What is killed must not live on because this process was slow to hear the server; and who kills
# must not wait half a second for a server that hangs.
BURIAL_SECONDS = 0.25

# KEYS: the counter, the tallies, the entries. ARGV: the counter's time to live in milliseconds;
# what a tally is named before and after the id, and its note. The first is empty where nothing is
# tallied. An entry whose use is tallied is a JSON list that begins with the id, of 30 characters,
# which it is tallied under. Notes of equal length of their times are compared as text, which costs
# a tenth of reading the numbers.
_RECALL = f"""\
local entries = redis.call('MGET', unpack(KEYS, 3))
for i = 1, #KEYS - 2 do
  if not entries[i] or entries[i] == '{TOMBSTONE}' then return false end
end
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
if ARGV[2] ~= '' then
  local name = ARGV[2] .. ' ' .. string.sub(entries[1], 3, 32) .. ' ' .. ARGV[3]
  redis.call('HINCRBY', KEYS[2], name, 1)
  local kept = redis.call('HGET', KEYS[2], '{NOTE}' .. name)
  if not kept or kept < ARGV[4] then redis.call('HSET', KEYS[2], '{NOTE}' .. name, ARGV[4]) end
end
return {{count, unpack(entries)}}
"""
_RECALL_SHA = hashlib.sha1(_RECALL.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Tallied:
    """What to tally with a recall: its name before and after the entry's id, when, and a note."""

    before: str
    after: str
    at: int
    note: str


@dataclass(slots=True)
class Asked:
    """Entries that are asked for with the next count; afterwards, what came back."""

    names: Sequence[str]
    tallies: str
    tallied: Tallied | None
    memory: "Memory"
    entries: list[bytes] | None = None
    counter: str = ""

    def __enter__(self) -> Self:
        self.memory.asked = self
        return self

    def __exit__(self, *raised: object) -> None:
        self.memory.asked = None

    def take_back(self) -> None:
        """Undo the count, whose entry turned out not to serve."""
        self.memory.take_back(self)


class Memory:
    """The entries of one server. Of a process, one (`memory_of`): what a thread asks for by one of
    its cache objects comes with the count that it makes by another."""

    def __init__(self, server: Server, make_key: Callable[[str], str]) -> None:
        self._server = server
        self._make_key = make_key
        self._thread = threading.local()

    @property
    def is_open(self) -> bool:
        """Whether the server answers: while it is away nothing is remembered."""
        return self._server.answers()

    @property
    def asked(self) -> Asked | None:
        """What this thread asked for, to be brought with its next count."""
        asked: Asked | None = getattr(self._thread, "asked", None)
        return asked

    @asked.setter
    def asked(self, asked: Asked | None) -> None:
        self._thread.asked = asked

    def asking(self, owner: str, names: Sequence[str], tallied: Tallied | None = None) -> Asked:
        """A block whose count, the owner's, is made only if all these entries of theirs are there,
        and brings them."""
        make_key = self._make_key
        tallies = make_key(tallies_name(tag_of(owner)))
        return Asked([make_key(name) for name in names], tallies, tallied, self)

    def count(self, asked: Asked, counter: str, milliseconds: int) -> int | None:
        """Count and recall; None, and nothing done, where not all is remembered.

        Raises ServerAway.
        """
        tallied = asked.tallied
        about = ("", "", "")
        if tallied is not None:
            about = (tallied.before, tallied.after, f"{tallied.at} {tallied.note}")
        keys = (counter, asked.tallies, *asked.names)
        reply = self._server.script(_RECALL_SHA, _RECALL, len(keys), *keys, milliseconds, *about)
        if reply is None:
            return None
        asked.counter, asked.entries = counter, reply[1:]
        return int(reply[0])

    def take_back(self, asked: Asked) -> None:
        """Undo the count of a recall, whose entry turned out not to serve."""
        try:
            self._server.call("DECR", asked.counter)
        except ServerAway:
            return  # its count is as lost as the server

    def remember(self, entries: Mapping[str, str], seconds: float) -> None:
        """Add these entries where there are none, each for so long."""
        milliseconds = max(1, int(seconds * 1000))
        try:
            for name, entry in entries.items():
                self._server.call("SET", self._make_key(name), entry, "NX", "PX", milliseconds)
        except ServerAway:
            return  # remembering spares work, and nothing more

    def bury(self, names: Sequence[str]) -> bool:
        """Lay a tombstone over each of these entries. False where the server did not take all."""
        commands = [
            ("SET", self._make_key(name), TOMBSTONE, "PX", TOMBSTONE_MILLISECONDS) for name in names
        ]
        try:
            for command in commands:
                self._server.call(*command)
        except ServerAway:
            try:
                self._server.insist(commands, BURIAL_SECONDS)
            except ServerAway:
                return False
        return True


_memories: dict[tuple[Server, str], Memory] = {}


def memory_of(server: Server, make_key: Callable[[str], str]) -> Memory:
    """The one object of this process for that server, and those names on it."""
    identity = (server, make_key(""))
    with process_lock:
        if identity not in _memories:
            _memories[identity] = Memory(server, make_key)
        return _memories[identity]
