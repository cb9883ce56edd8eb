"""The user's session auth hash, and the counter in it."""

from django.test import TestCase, override_settings

from accounts.models import User
from fluxiq.tests.factories import UserFactory


class SessionEpochTests(TestCase):
    def setUp(self) -> None:
        self.user = UserFactory.create()

    def test_each_epoch_has_a_hash_of_its_own(self) -> None:
        seen = {self.user.get_session_auth_hash()}
        for epoch in (1, 2, 3):
            self.user.begin_session_epoch()
            assert self.user.session_epoch == epoch
            seen.add(self.user.get_session_auth_hash())
        assert len(seen) == 4

    def test_an_object_from_before_counts_on_from_the_row(self) -> None:
        User.objects.get(pk=self.user.pk).begin_session_epoch()
        self.user.begin_session_epoch()
        assert self.user.session_epoch == 2
        assert self.user.get_session_auth_hash() == User.objects.get().get_session_auth_hash()

    def test_a_former_secret_key_verifies_the_same_epoch(self) -> None:
        self.user.begin_session_epoch()
        with override_settings(SECRET_KEY="x" * 50):
            former = self.user.get_session_auth_hash()
        with override_settings(SECRET_KEY="y" * 50, SECRET_KEY_FALLBACKS=["x" * 50]):
            assert self.user.get_session_auth_hash() != former
            assert [*self.user.get_session_auth_fallback_hash()] == [former]

    def test_of_everybody_one_begins_in_batches(self) -> None:
        for _ in range(4):
            UserFactory.create()
        User.objects.begin_session_epochs(2)
        assert set(User.objects.values_list("session_epoch", flat=True)) == {1}
