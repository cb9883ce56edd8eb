"""The audit trail. A ground floor: everyone may write to it, it knows nobody."""
