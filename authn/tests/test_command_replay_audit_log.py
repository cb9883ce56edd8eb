"""`replay_audit_log`."""

from authn import passwords
from authn.tests.restored import FRESH, RestorationCase
from fluxiq.tests.factories import issue_key


class RestorationTests(RestorationCase):
    def test_the_command_tells_all_of_it_and_ends_with_3_where_something_is_left(self) -> None:
        api_key, _ = issue_key(self.bakery)
        path = self.lost(api_key.revoke)
        stdout, _ = self.run_command("replay_audit_log", str(path))
        assert stdout == (
            "1 events that the database does not hold; 1 done again. 0 sessions ended, and 0 of"
            " the staff console.\n"
        )
        path = self.lost(lambda: passwords.reset(self.olga, FRESH))
        stdout, _ = self.run_command("replay_audit_log", str(path))
        assert stdout.splitlines()[1:] == [f"{self.olga.id}: has to set a new password"]
        path = self.lost(issue_key(self.bakery)[0].revoke)
        told = self.result("replay_audit_log", str(path))
        assert (told["done_again"], told["passwords_withdrawn"], told["lost"]) == (1, [], {})
        owner, principal = self.membership(self.olga), self.root_principal()
        path = self.lost(
            lambda: self.member(self.bakery, "Nina", "owner"), lambda: owner.end(principal)
        )
        assert self.refusal("replay_audit_log", str(path)) == "1 events are left to you"

    def test_a_file_that_is_none_is_refused(self) -> None:
        path = self.directory / "none"
        assert "No such file" in self.refusal("replay_audit_log", str(path))
        path.write_text("[]\n")
        assert self.refusal("replay_audit_log", str(path)) == "line 1 is no object"
