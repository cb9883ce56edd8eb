"""How django-ratelimit names its counters in our backends."""


class PlainName:
    """In the place of its hash: the name as it is, so that the owner that stands in braces in it is
    the hash tag that a cluster finds the node by, and all of an owner's names lie on one."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def hexdigest(self) -> str:
        """The name."""
        return self._name.decode()
