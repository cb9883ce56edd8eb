"""What the threads of a worker do: answer whole requests, and never wait for a client.

Python runs one thread of a process at a time, and changes threads at each system call that may
block. So a thread that has answered looks for the next request of its connection for a moment
itself; to have the loop do so would cost two changes of threads for each request.
"""

from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from fluxiq.malformed import Refusal
from fluxiq.server.connections import Connection


def may_stay(*, connections: int, threads: int, queued: int, lingering: int) -> bool:
    """Whether a thread may wait for more on its connection, of a worker with so many of each.

    Connections that wait for a thread go first; and one thread lingers with none, unless each
    connection can have a thread of its own.
    """
    return not queued and (connections <= threads or lingering < threads - 1)


class AnsweringWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with threads that only answer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.alive: bool = True  # gunicorn's, until the worker is told to stop
        # Connections. (Additions and removals are atomic.)
        self._queued: set[Connection] = set()
        self._lingering: set[Connection] = set()

    def take_back(self, connection: Connection) -> None:
        """What the loop does with a connection that a thread has answered."""
        raise NotImplementedError

    def have_answered(self, connection: Connection, request: Any) -> None:
        """Have a thread answer this request, and then give the connection back."""
        self._queued.add(connection)
        self.tpool.submit(self._serve, connection, request)

    def _serve(self, connection: Connection, request: Any) -> None:
        """Answer requests of a connection for as long as they follow one another at once."""
        self._queued.discard(connection)
        connection.is_last = True
        try:
            while request is not None:
                connection.is_last = not self._answer(connection, request)
                if connection.is_last or connection.answers.size:
                    break
                request = self._following(connection)
        except Exception:  # of whatever kind: nobody waits for what a thread raises
            self.log.exception("A connection could not be served")
            connection.is_last = True
        finally:
            self.method_queue.defer(self.take_back, connection)

    def _answer(self, connection: Connection, request: Any) -> bool:
        """Answer one request, and say whether its connection lives on."""
        answers = connection.answers
        content: Any = None
        try:
            self.cfg.pre_request(self, request)
            response, environ = wsgi.create(
                request, answers, connection.client, connection.server, self.cfg
            )
            environ["wsgi.multithread"] = True
            self._count_request()
            if not self.alive or not self.cfg.keepalive:
                response.force_close()
            content = self.wsgi(environ, response.start_response)
            for piece in content:
                response.write(piece)
            response.close()
            lives = not response.should_close()
        except Exception as fault:
            answers.discard()
            self.write_refusal(connection, fault)
            lives = False
        answers.flush()
        if hasattr(content, "close"):
            content.close()  # the client need not wait for it
        return lives and not answers.is_broken

    def _count_request(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def _following(self, connection: Connection) -> Any:
        """The next request, where it is here or comes while the thread has nothing else to do."""
        staying = self.alive and may_stay(
            connections=self.nr_conns,
            threads=self.cfg.threads,
            queued=len(self._queued),
            lingering=len(self._lingering),
        )
        if not staying:
            return None
        try:
            return connection.reader.next() or self._linger(connection)
        except Exception as fault:  # of whatever kind, mostly ParseException
            self.write_refusal(connection, fault)
            connection.answers.flush()
            connection.is_last = True
            return None

    def _linger(self, connection: Connection) -> Any:
        """The next request, where it comes within a moment."""
        self._lingering.add(connection)
        data = connection.receive(wait=True)
        self._lingering.discard(connection)
        if not data:
            return None  # the loop waits for more, or sees the end
        connection.reader.feed(data)
        return connection.reader.next()

    def write_refusal(self, connection: Connection, fault: Exception) -> None:
        """Write the answer to what could not be read, or failed outside the application."""
        refusal = Refusal(fault)
        told = (refusal.request_id, refusal.status, connection.name)
        if refusal.is_ours:
            self.log.error("%s: %d to %s", *told, exc_info=fault)
        else:
            self.log.warning("%s: %d to %s: %s", *told, type(fault).__name__)
        connection.answers.sendall(refusal.content())
