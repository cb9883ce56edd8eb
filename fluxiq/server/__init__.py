"""What stands between a client's connection and Django. No Django in it.

`reading` makes whole requests of the bytes that come, `connections` sends answers without waiting,
`worker` gives a thread a request once all of it is here, and `bodies` does for any other WSGI
server what can be done inside WSGI: bound the body, read it first, and fix its charset.
"""
