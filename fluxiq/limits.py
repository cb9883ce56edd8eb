"""What a counted request knows of its bucket. No Django in it."""

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """One bucket after counting: its name, its limit, the count, the window and its end.

    `reset` is the first second (Unix time) of the next window, when a request is admitted again.
    """

    bucket: str
    limit: int
    count: int
    window: int
    reset: int

    @property
    def is_exceeded(self) -> bool:
        """Whether the request counted last was one too many."""
        return self.count > self.limit

    @property
    def remaining(self) -> int:
        """How many more requests this window admits."""
        return max(0, self.limit - self.count)

    @property
    def retry_after(self) -> int:
        """Whole seconds until `reset`, at least 1 and at most the window."""
        return min(self.window, max(1, self.reset - int(time.time())))

    def headers(self) -> dict[str, str]:
        """The documented headers, and those of draft-ietf-httpapi-ratelimit-headers."""
        remaining = self.remaining
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f'"{self.bucket}";q={self.limit};w={self.window}',
            "RateLimit": f'"{self.bucket}";r={remaining};t={self.retry_after}',
        }
