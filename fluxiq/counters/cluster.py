"""A cluster of Redis or Valkey servers, by redis-py's client for clusters.

The URL is `redis+cluster://[user:password@]host:port[,host:port…]` (or `rediss+cluster://`, with
TLS): nodes to ask for the others. What one script touches lies on one node, by `naming`'s tags.
"""

import os
from typing import Any
from urllib.parse import urlsplit

from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError as NoAnswer
from redis.exceptions import RedisClusterException, ResponseError
from redis.retry import Retry

from fluxiq.counters.wire import Command

_SCHEMES = {"redis+cluster": False, "rediss+cluster": True}
_DEFAULT_PORT = 6379


def is_cluster(url: str) -> bool:
    """Whether the URL names a cluster."""
    return url.partition("://")[0] in _SCHEMES


class Cluster:
    """The client of a cluster, made when it is first needed, and anew by a child that was forked.

    One node that is away is the cluster away, as far as this goes: with the servers' own default
    (cluster-require-full-coverage) the others refuse then, too, until its replica takes over.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError for a URL that cannot be used."""
        scheme, _, rest = url.partition("://")
        credentials, _, hosts = rest.rpartition("@")
        parts = urlsplit(f"//{credentials}@")
        self._nodes = [_address(host) for host in hosts.partition("/")[0].split(",")]
        self._options: dict[str, Any] = {
            "username": parts.username or None,
            "password": parts.password,
            "ssl": _SCHEMES[scheme],
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # Once: a slot that has moved is found anew.
            "retry": Retry(NoBackoff(), 1),
            "protocol": 2,
            "driver_info": None,
        }
        self._client: RedisCluster | None = None
        self._process = 0

    @property
    def address(self) -> str:
        """The nodes that are asked for the others."""
        return ",".join(f"{host}:{port}" for host, port in self._nodes)

    def fresh(self, timeout: float) -> "Cluster":
        """Itself: its nodes have the time they have."""
        return self

    def close(self) -> None:
        """Nothing: the client keeps its connections."""

    def line(self) -> "Cluster":
        """Itself: the client serves all threads."""
        return self

    def ask(self, command: Command) -> Any:
        """Send a command to the node of its keys and return the reply. Raises RedisError."""
        try:
            return self._connected().execute_command(*command)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:  # which, alone of redis-py's, is no RedisError
            raise NoAnswer("no node of the cluster answers for this") from error

    def ask_both(self, first: Command, second: Command) -> tuple[Any, Any]:
        """Send two commands and return both replies, those that are errors as they are.

        Raises any other RedisError.
        """
        replies = []
        for command in (first, second):
            try:
                replies.append(self.ask(command))
            except ResponseError as error:
                replies.append(error)
        return replies[0], replies[1]

    def _connected(self) -> RedisCluster:
        if self._client is None or self._process != os.getpid():
            # Two threads may do so at once: one client is left over then, and collected.
            nodes = [ClusterNode(*address) for address in self._nodes]  # type: ignore[no-untyped-call]
            self._client = RedisCluster(startup_nodes=nodes, **self._options)
            self._process = os.getpid()
        return self._client


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a node has no host")
    return parts.hostname, parts.port or _DEFAULT_PORT
