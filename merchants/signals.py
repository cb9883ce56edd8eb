"""What the merchants' app tells the floor above it, which it may not import.

Sent inside the transaction of the change.
"""

from django.dispatch import Signal

# What a user may do where is another now, with `user_id`.
grants_changed = Signal()
# A merchant was suspended, resumed or renamed, or requires another thing, with `merchant_id`.
merchant_changed = Signal()
# A merchant requires a second factor from now on, with `merchant_id`.
second_factor_required = Signal()
# An invitation is about to be mailed to `address`. A receiver that raises refuses it, and then
# there is no invitation.
invitation_mailed = Signal()
