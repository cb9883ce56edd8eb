"""How an object is called in the console, in logs and at a prompt: never by a secret."""

from datetime import UTC, datetime

import pytest
from django.db.models import Model

from authn.models import ApiKeyUsage, MfaChallenge, RecoveryCode, Session, TotpFactor, UsageTotal
from authn.models.usage import MovedBatch

TEN = datetime(2026, 2, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (Session(id="ses_1", user_id="usr_1"), "ses_1 of usr_1"),
        (TotpFactor(user_id="usr_1"), "authenticator app of usr_1"),
        (RecoveryCode(user_id="usr_1", digest=b"secret"), "recovery code of usr_1"),
        (MfaChallenge(user_id="usr_1"), "challenge of usr_1"),
        (ApiKeyUsage(api_key_id="key_1", hour=TEN), "key_1 in the hour of 2026-02-03 10:00"),
        (UsageTotal(hour=TEN), "the hour of 2026-02-03 10:00"),
        (MovedBatch(id="batch-1"), "batch-1"),
    ],
)
def test_an_object_is_named_by_whose_it_is(found: Model, name: str) -> None:
    assert str(found) == name
