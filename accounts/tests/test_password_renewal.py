"""A hash of older parameters is renewed at sign-in, and never over a newer password."""

from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.test import TestCase

from accounts.models import User
from fluxiq.tests.factories import PASSWORD, UserFactory

NEW = "staple battery horse"


class PasswordRenewalTests(TestCase):
    """The suite's preferred hasher is MD5: a hash by Argon2id counts as an older one."""

    def setUp(self) -> None:
        self.user = UserFactory.create()
        self.old = get_hasher("argon2").encode(PASSWORD, "a salt of the tests")
        User.objects.filter(pk=self.user.pk).update(password=self.old)

    def stored(self) -> str:
        return User.objects.values_list("password", flat=True).get(pk=self.user.pk)

    def test_the_right_password_renews_the_hash(self) -> None:
        found = User.objects.get(pk=self.user.pk)
        assert found.check_password(PASSWORD)
        assert identify_hasher(self.stored()).algorithm == "md5"
        assert found.password == self.stored()

    def test_a_wrong_password_renews_nothing(self) -> None:
        assert not User.objects.get(pk=self.user.pk).check_password(NEW)
        assert self.stored() == self.old

    def test_a_password_changed_meanwhile_stays(self) -> None:
        signing_in, changing = (User.objects.get(pk=self.user.pk) for _ in range(2))
        changing.set_password(NEW)
        changing.save(update_fields=["password"])
        assert signing_in.check_password(PASSWORD)  # of the hash that it had read
        assert self.stored() == changing.password
        assert signing_in.password == self.old
        assert not User.objects.lock_as_proved(signing_in).exists()

    def test_two_sign_ins_at_once_renew_it_once_and_both_hold(self) -> None:
        first, second = (User.objects.get(pk=self.user.pk) for _ in range(2))
        assert first.check_password(PASSWORD)
        renewed = self.stored()
        assert second.check_password(PASSWORD)
        assert self.stored() == renewed
        assert User.objects.lock_as_proved(first).exists()
        assert User.objects.lock_as_proved(second).exists()
