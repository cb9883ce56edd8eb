"""What goes over a connection between a client and a worker, byte for byte."""

HEAD, BODY, MORE = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"more"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

Parsed = tuple[int, dict[str, str], bytes]


def answers(received: bytes) -> list[Parsed]:
    """The status, headers by lower-case name and body of each answer, whole, in order. Each is to
    state its length."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        length = int(headers["content-length"])
        assert len(received) >= length, "an answer is cut off"
        found.append((int(first.split()[1]), headers, received[:length]))
        received = received[length:]
    return found
