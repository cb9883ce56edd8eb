"""The second factor: one-time codes of an authenticator app, and recovery codes for its loss."""
