"""What happens in the demo's month: keys and their use, sessions, what staff and guessers do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from authn import keys
from authn.demo_stories import DAYS, Story
from authn.models import ApiKey, ApiKeyUsage, Session
from authn.models.usage import HourOfUse
from authn.peppers import peppers
from fluxiq import ids
from fluxiq.audit import tallies
from fluxiq.audit.models import AuditEvent, Kind
from merchants.models import Merchant

_SEED = 20260203
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_REFRESHED = timedelta(days=7)
_BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
)


class Month:
    """What is gathered to be written at once."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.random = Random(_SEED)  # noqa: S311 - of a story, not of a secret
        self.events: list[AuditEvent] = []
        self.sessions: list[Session] = []
        self.keys: list[ApiKey] = []
        self.hours: list[HourOfUse] = []

    def write(
        self,
        owners: Sequence[tuple[Merchant | None, Sequence[User], Sequence[Story]]],
        staff: Sequence[User],
    ) -> None:
        """Tell all of it, and write it."""
        for merchant, people, stories in owners:
            self._tell_keys(merchant, people[0], stories)
            if merchant is not None:
                self._tell_people(merchant, people)
        self._tell_staff(staff)
        self._tell_failures([user for _, people, _ in owners for user in people])
        ApiKey.objects.bulk_create(self.keys)
        Session.objects.bulk_create(self.sessions)
        ApiKeyUsage.objects.add("the demo's month", self.hours)
        AuditEvent.objects.bulk_create(sorted(self.events, key=lambda event: event.pk))

    def _ago(self, days: float) -> datetime:
        return self.now - days * _DAY

    def _event(self, kind: Kind, at: datetime, **fields: Any) -> None:
        if at < self._ago(DAYS):
            return
        pk = ids.new(ids.Prefix.EVENT, at)
        self.events.append(AuditEvent(id=pk, kind=kind, at=at, **fields))

    # Keys

    def _tell_keys(self, merchant: Merchant | None, owner: User, stories: Sequence[Story]) -> None:
        by_name: dict[str, ApiKey] = {}
        for story in stories:
            api_key = self._key(story, merchant, owner, by_name.get(story.succeeds))
            by_name[story.name] = api_key
            self.keys.append(api_key)
            self.hours += self._hours_of(api_key, story)
            self._tell_key(api_key, owner, story)

    def _key(
        self, story: Story, merchant: Merchant | None, owner: User, before: ApiKey | None
    ) -> ApiKey:
        secret = keys.generate(settings.FLUXIQ_ENVIRONMENT)
        # Whoever was not used lately stands under the oldest pepper that there is.
        pepper = peppers()[0 if story.size and not story.used_until else -1]
        made_at = self._ago(story.made_ago)
        used_ago = story.used_until if story.size else story.used_ago
        return ApiKey(
            id=ids.new(ids.Prefix.API_KEY, made_at),
            merchant=merchant,
            name=story.name,
            digest=pepper.digest(secret),
            pepper_id=pepper.id,
            hint=keys.hint(secret),
            permissions=[str(permission) for permission in story.permissions],
            created_at=made_at,
            created_by=owner,
            expires_at=None if story.expires_in is None else self._ago(-story.expires_in),
            last_used_at=None if used_ago is None else self._ago(used_ago),
            last_used_address="" if used_ago is None else self._address(),
            revoked_at=None if story.revoked_ago is None else self._ago(story.revoked_ago),
            revoked_reason=story.reason,
            rotated_from=before,
            **story.changes,
        )

    def _hours_of(self, api_key: ApiKey, story: Story) -> Iterator[HourOfUse]:
        """Counts like a shop's: more by day than by night, fewer at the weekend."""
        if not story.size:
            return
        this = self.now.replace(minute=0, second=0, microsecond=0)
        first, last = int(story.used_from * 24), int(story.used_until * 24)
        for ago in range(last, first + 1):
            hour = this - ago * _HOUR
            there = timezone.localtime(hour, timezone.get_fixed_timezone(-180))
            busy = max(1, 11 - abs(14 - there.hour))
            share = 0.35 if there.weekday() == 6 else 0.7 if there.weekday() == 5 else 1.0  # noqa: PLR2004 - Sunday, Saturday
            admitted = round(story.size * busy * share * self.random.uniform(0.4, 0.6))
            limited = 15 * story.size if self.random.random() < 0.01 else 0  # noqa: PLR2004 - of a hundred hours
            refused = admitted // story.refused + self.random.randrange(3)
            yield HourOfUse(api_key.pk, hour, admitted, refused, limited)

    def _tell_key(self, api_key: ApiKey, owner: User, story: Story) -> None:
        about = {
            "object_id": api_key.pk,
            "merchant_id": api_key.merchant_id or "",
            "actor_kind": "user",
            "actor_id": owner.pk,
            "address": self._address(),
            "user_agent": _BROWSERS[0],
        }
        shown = {"name": story.name, "permissions": api_key.permissions, "hint": api_key.hint}
        if api_key.rotated_from_id:
            about["object_id"] = api_key.rotated_from_id
            self._event(
                Kind.API_KEY_ROTATED,
                api_key.created_at,
                after={"rotated_to": api_key.pk, "hint": api_key.hint},
                **about,
            )
            return
        self._event(Kind.API_KEY_ISSUED, api_key.created_at, after=shown, **about)
        if story.revoked_ago is not None and story.revoked_ago > 0:
            at = self._ago(story.revoked_ago)
            self._event(Kind.API_KEY_REVOKED, at, after={"reason": story.reason}, **about)
            self._event(
                Kind.API_KEY_USED_PAST_END,
                at + _HOUR,
                after={"revoked_at": at.isoformat(), "expires_at": None},
                **(about | {"actor_kind": "api_key", "actor_id": api_key.pk}),
            )

    # People

    def _address(self) -> str:
        """An address of those that documents use (RFC 5737, RFC 3849)."""
        host = self.random.randrange(1, 255)
        nets = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::")
        return f"{self.random.choice(nets)}{host}"

    def _tell_people(self, merchant: Merchant, people: Sequence[User]) -> None:
        for number, user in enumerate(people):
            for day in range(DAYS - 2, -1, -(number + 1)):
                at = self._ago(day + self.random.uniform(0.05, 0.4))
                self._tell_session(user, at, day)
        owner, operator = people[0], people[-1]
        self._event(
            Kind.MERCHANT_CHANGED,
            self._ago(11.3),
            object_id=merchant.pk,
            merchant_id=merchant.pk,
            actor_kind="user",
            actor_id=owner.pk,
            address=self._address(),
            before={"name": f"{merchant.name} Ltda"},
            after={"name": merchant.name},
        )
        for days, count in ((1.2, 3), (5.4, 1), (8.1, 7)):
            self._event(
                Kind.PERMISSION_REFUSED,
                self._minute(days),
                merchant_id=merchant.pk,
                actor_kind="user",
                actor_id=operator.pk,
                address=self._address(),
                after={"count": count, "required_permission": "accounts:write"},
            )

    def _tell_session(self, user: User, at: datetime, day: int) -> None:
        session = Session(
            id=ids.new(ids.Prefix.SESSION, at),
            user=user,
            created_at=at,
            last_used_at=min(at + self.random.uniform(0.01, 0.04) * _DAY, self.now),
            address=self._address(),
            user_agent=self.random.choice(_BROWSERS),
        )
        session.expires_at = session.last_used_at + _REFRESHED
        about = {
            "object_id": session.pk,
            "actor_kind": "user",
            "actor_id": user.pk,
            "address": session.address,
            "user_agent": session.user_agent,
        }
        started = {"user_id": user.pk, "second_factor": ""}
        self._event(Kind.SESSION_STARTED, at, after=started, **about)
        if day in (3, 17):
            self._end(session, "refresh token reused", about)
            stolen = {"user_id": user.pk, "signed_in_from": session.address}
            about["address"] = self._address()
            self._event(Kind.SESSION_REUSE_DETECTED, session.last_used_at, after=stolen, **about)
        elif day > 1 and self.random.random() < 0.8:  # noqa: PLR2004 - of ten people, eight log out
            self._end(session, "logged out", about)
        self.sessions.append(session)

    def _end(self, session: Session, reason: str, about: Mapping[str, Any]) -> None:
        session.ended_at, session.ended_reason = session.last_used_at, reason
        after = {"reason": reason, "user_id": session.user_id}
        self._event(Kind.SESSION_ENDED, session.last_used_at, after=after, **about)

    def _tell_staff(self, staff: Sequence[User]) -> None:
        for number, user in enumerate(staff):
            for day in range(DAYS - 3, -1, -(number + 2)):
                self._event(
                    Kind.STAFF_SIGNED_IN,
                    self._ago(day + self.random.uniform(0.1, 0.4)),
                    object_id=user.pk,
                    actor_kind="staff",
                    actor_id=user.pk,
                    address=self._address(),
                    user_agent=_BROWSERS[0],
                )

    def _minute(self, days: float) -> datetime:
        return self._ago(days).replace(second=0, microsecond=0)

    def _tell_failures(self, people: Sequence[User]) -> None:
        """Wrong passwords now and then, and a night of guessing."""
        attacked, night = people[0], 2.2
        told = [
            (Kind.SIGN_IN_FAILED, self._minute(day + self.random.uniform(0.1, 0.9)), 1, user)
            for day in range(DAYS - 1)
            for user in self.random.sample(list(people), self.random.randrange(3))
        ]
        for minute in range(14):
            at = self._minute(night) + minute * timedelta(minutes=1)
            told.append((Kind.SIGN_IN_FAILED, at, 1, attacked))
            told.append((Kind.SIGN_IN_THROTTLED, at, self.random.randrange(1, 5), attacked))
        tallies.add_to_hours((kind, at, count) for kind, at, count, _ in told)
        for kind, at, count, user in told:
            self._event(
                kind,
                at,
                object_id=user.pk,
                actor_kind=tallies.ANYBODY[0],
                address=self._address(),
                after={"count": count},
            )
