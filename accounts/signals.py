"""What the people's app tells the floors above it, which it may not import."""

from django.dispatch import Signal

# The user may no longer act: sent inside the transaction, with `user` and `reason`.
access_withdrawn = Signal()
