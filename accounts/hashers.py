"""The password hash (OWASP Password Storage Cheat Sheet: argon2id, 46 MiB, t=1, p=1)."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """Django's Argon2 hasher at the parameters above; its defaults are 100 MiB and 8 lanes."""

    time_cost = 1
    memory_cost = 46 * 1024  # KiB
    parallelism = 1
