"""Give a document that somebody else registered back to its holder."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.models import User
from authn import reclaim
from fluxiq import commands, ids
from fluxiq.serializers import StrictCharField, StrictSerializer
from merchants.models import Membership


class Reclaiming(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=200)


class Command(commands.Command):
    """`reclaim_document DOCUMENT_OR_USER_ID --reason T [--end MBR_ID …] [--yes]`."""

    help = (
        "Give a document that somebody else registered back to its holder: print a password reset"
        " link, once, and end sessions, password, second factor, e-mail address and open"
        " invitations. Lists the memberships; --end ends those that are not the holder's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", metavar="DOCUMENT_OR_USER_ID")
        parser.add_argument("--reason", metavar="T", required=True, help="For the audit trail.")
        parser.add_argument(
            "--end",
            metavar="MBR_ID",
            action="extend",
            nargs="+",
            default=[],
            help="A membership to end. May be repeated.",
        )
        commands.ask_first(parser)

    def perform(
        self, person: str, reason: str, end: list[str], *, yes: bool, **options: Any
    ) -> dict[str, Any]:
        body = commands.read(Reclaiming, reason=reason)
        user = User.objects.for_document(person)
        if user is None:
            user = commands.find(User.objects.all(), ids.Prefix.USER, person)
        theirs = {membership.pk for membership in reclaim.memberships_of(user)}
        if unknown := [each for each in end if each not in theirs]:
            raise CommandError(f"no membership of theirs: {', '.join(unknown)}")
        question = f"Shut out whoever uses {user} now, and make a link for its holder?"
        self.confirm(commands.one_line(question), yes=yes)
        done = reclaim.reclaim(user, body["reason"], ending=end)
        return {
            "id": user.pk,
            "reset_link": done.reset_link,
            "sessions_ended": done.sessions_ended,
            "invitations_ended": done.invitations_ended,
            "memberships_ended": list(done.memberships_ended),
            "memberships": [_shown(membership) for membership in done.memberships],
        }

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["reset_link"])
        self.note(
            f"{result['id']}: the link above is shown this once and serves once, within 30"
            " minutes. Ended: "
            f"{result['sessions_ended']} sessions, {result['invitations_ended']} invitations,"
            f" {len(result['memberships_ended'])} memberships."
        )
        if result["memberships"]:
            rows = [list(each.values()) for each in result["memberships"]]
            self.note("Ask the holder which of these are theirs; --end ends the others:")
            self.note(commands.table(("id", "merchant", "name", "role", "status"), rows))


def _shown(membership: Membership) -> dict[str, str]:
    return {
        "id": membership.pk,
        "merchant_id": membership.merchant_id,
        "merchant_name": membership.merchant.name,
        "role": membership.role,
        "status": membership.status,
    }
