"""Django's PostgreSQL backend, which keeps no request waiting for a server that is away.

`base` is what Django loads for the ENGINE `fluxiq.postgresql`.
"""
