"""Connections to one Redis or Valkey server, spoken over with hiredis alone.

redis-py opens them (address, TLS, password, database); its own way of writing, reading and pooling
would cost more than the trip.
"""

import ctypes
import os
import socket
import ssl
import struct
import threading
import time
from typing import Any

from hiredis import ProtocolError, Reader, pack_command
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

READ_BYTES = 65536

# The C library's send, without letting go of the interpreter's lock: Python's own lets another
# thread run meanwhile, and so waits for its turn before it can begin to read. It must not block.
_send = ctypes.PyDLL(None).send
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t

Command = tuple[str | bytes | int, ...]


def _packed(command: Command) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # typed for a tuple of one
    return packed


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)


class Wire:
    """A connection that is opened when it is needed. Of one thread."""

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._opener = pool.connection_class(**pool.connection_kwargs)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._is_plain = False
        self._reader = self._new_reader()

    @staticmethod
    def _new_reader() -> Reader:
        return Reader(replyError=_error)

    def ask(self, command: Command) -> Any:
        """Send a command and return the reply.

        Raises ResponseError for one that is an error, any other RedisError or OSError where there
        is none: the connection is closed then.
        """
        reply = self._exchange(_packed(command), 1)[0]
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def ask_both(self, first: Command, second: Command) -> tuple[Any, Any]:
        """Send two commands in one trip and return both replies, errors as they are."""
        one, two = self._exchange(_packed(first) + _packed(second), 2)
        return one, two

    def _exchange(self, sent: bytes, replies: int) -> list[Any]:
        try:
            connected = self._socket or self._open()
            self._write(connected, sent)
            return [self._read(connected) for _ in range(replies)]
        except BaseException as error:
            # A reply left unread would be taken for that of the next command.
            self.close()
            if isinstance(error, ProtocolError):
                raise RedisError("the server's reply is none") from error
            raise

    def _write(self, connected: socket.socket, sent: bytes) -> None:
        if self._is_plain:
            # An error is told by what is tried again.
            taken = max(0, _send(connected.fileno(), sent, len(sent), socket.MSG_DONTWAIT))
            if taken == len(sent):
                return
            sent = sent[taken:]
        connected.sendall(sent)

    def _read(self, connected: socket.socket) -> Any:
        reply = self._reader.gets()
        while reply is False:  # RESP2 has no such reply: there is not all of one yet
            received = connected.recv(READ_BYTES)
            if not received:
                raise ConnectionError("the server hung up")
            self._reader.feed(received)
            reply = self._reader.gets()
        return reply

    def _open(self) -> socket.socket:
        self._opener.connect()
        opened: socket.socket | None = self._opener._get_socket()
        if opened is None:
            raise ConnectionError("the server hung up")
        self._is_plain = not isinstance(opened, ssl.SSLSocket)
        if self._is_plain:
            # The kernel keeps the time: with Python's own, each call would be two.
            limit = struct.pack("ll", int(self._timeout), int(self._timeout % 1 * 1_000_000))
            opened.settimeout(None)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket = opened
        return opened

    def close_if_stale(self) -> None:
        """Close where the server has hung up while the connection was idle."""
        if self._socket is None:
            return
        try:
            stale = self._opener.can_read()
        except (RedisError, OSError):
            stale = True
        if stale:
            self.close()

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        self._socket = None
        self._reader = self._new_reader()
        self._opener.disconnect()


class _Thread(threading.local):
    wire: Wire
    process = 0
    last_use = 0.0


class Wires:
    """A connection for each thread of each process, made anew by a child that was forked."""

    def __init__(self, url: str, timeout: float, idle_seconds: float) -> None:
        """Raises TypeError, ValueError or RedisError for a URL that cannot be used."""
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            # Neither HELLO nor CLIENT SETINFO: connecting takes no more trips than it must.
            protocol=2,
            driver_info=None,
        )
        self._timeout, self._idle_seconds = timeout, idle_seconds
        self._thread = _Thread()
        Wire(self._pool, timeout)  # an unknown option in the URL's query is only noticed here

    @property
    def address(self) -> str:
        """The server's address and database."""
        where = self._pool.connection_kwargs
        address = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
        return f"{address}/{where.get('db', 0)}"

    def fresh(self, timeout: float) -> Wire:
        """A connection of its own, for one who waits so long."""
        return Wire(self._pool, timeout)

    def mine(self) -> Wire:
        """This thread's connection. One that was idle for a while is looked at first."""
        thread, now = self._thread, time.monotonic()
        if thread.process != os.getpid():
            thread.wire = Wire(self._pool, self._timeout)
            thread.process = os.getpid()
        elif now - thread.last_use > self._idle_seconds:
            thread.wire.close_if_stale()
        thread.last_use = now
        return thread.wire
