"""What goes over a connection between a client and a worker, byte for byte."""

HEAD, BODY, MORE = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"more"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
