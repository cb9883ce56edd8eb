"""What the system checks refuse to start with."""

from django.test import override_settings

from authn.checks import check_counters


def test_the_counters_of_this_project_are_exact() -> None:
    assert check_counters(None) == []


@override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
def test_counters_that_each_worker_has_for_itself_are_refused() -> None:
    (fault,) = check_counters(None)
    assert fault.msg == "LocMemCache does not count exactly over several workers."
    assert fault.hint == "Use fluxiq.counters.SharedCounters (REDIS_URL) or EmbeddedCounters."
