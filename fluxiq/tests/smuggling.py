"""Requests byte for byte: valid ones, and what two servers may read in two ways."""

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\n"
SIZED = POST + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b'5;ext="a;b"\r\nhello\r\n00000B\r\n, you there\r\n0\r\n\r\n'
TRAILED = CHUNKED + b"5\r\nhello\r\n0;last\r\nX-Checksum: 1\r\nX-More: 2\r\n\r\n"

# What two servers may read differently (CL.TE, TE.CL, TE.TE and their kind), or one cannot read.
AMBIGUOUS = [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    POST + b"Content-Length: 5, 5\r\n\r\nhello",
    POST + b"Content-Length: +5\r\n\r\nhello",
    POST + b"Content-Length: -5\r\n\r\nhello",
    POST + b"Content-Length: 0x5\r\n\r\nhello",
    POST + b"Content-Length: 5 5\r\n\r\nhello",
    POST + b"Content-Length: \xb2\r\n\r\nhello",
    POST + b"Content-Length : 5\r\n\r\nhello",
    POST + b" Content-Length: 5\r\n\r\nhello",
    POST + b"Content_Length: 5\r\n\r\nhello",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: identity\r\n\r\nhello",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"X: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # obs-fold
    POST + b"X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # bare LF
    POST.replace(b"\r\n", b"\n") + b"\n",
    POST + b"X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # bare CR
    POST + b"X: \x00\r\n\r\n",
    POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n",
    CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5;\x00\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    CHUNKED + b"0\r\nX: 1\nHost: y\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"\r\n\r\n" + GET,
    b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz\r\n\r\n",
]
