"""After a restore: exports are replayed once and in their order, and none that was changed."""

import json
from pathlib import Path

import pytest

from authn import passwords, restoration
from authn.tests.restored import FRESH, PASSWORD, RestorationCase
from fluxiq.audit import verification
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Conflict
from fluxiq.tests.factories import issue_key


class RestorationTests(RestorationCase):
    def test_without_an_export_there_is_nothing_to_replay(self) -> None:
        with pytest.raises(Conflict, match="No export was named"):
            restoration.replay([])

    def test_a_second_replay_does_nothing_again(self) -> None:
        passwords.reset(self.olga, PASSWORD)
        self.export()
        path = self.lost(lambda: passwords.reset(self.olga, FRESH))
        restoration.replay([path])
        self.olga.refresh_from_db()
        passwords.reset(self.olga, "a third password of mine")
        assert restoration.replay([path]).events == 0
        self.olga.refresh_from_db()
        assert self.olga.has_usable_password()

    def test_several_exports_are_replayed_in_their_order(self) -> None:
        api_key, secret = issue_key(self.bakery)
        paths: list[Path] = []
        last = self.lost(
            self.mario.deactivate,
            lambda: paths.append(self.export()),
            api_key.revoke,
        )
        with pytest.raises(Conflict, match="after the end of the backup"):
            restoration.replay([last])
        self.data(self.get("/accounts", secret))
        result = restoration.replay([paths[0], last])
        assert result.done_again == 2
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_an_export_that_was_changed_is_not_believed(self) -> None:
        api_key, secret = issue_key(self.bakery)
        path = self.lost(api_key.revoke, self.mario.deactivate)
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if "user.deactivated" in line:
                lines[number] = line.replace(self.mario.id, self.olga.id)
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(Conflict, match="not whole"):
            restoration.replay([path])
        self.data(self.get("/accounts", secret))

    def test_the_trail_stays_whole_and_tells_of_the_replay(self) -> None:
        api_key, _ = issue_key(self.bakery)
        path = self.lost(api_key.revoke)
        last = json.loads(path.read_text().splitlines()[-1])["checkpoint"]
        restoration.replay([path])
        told = AuditEvent.objects.get(kind=Kind.TRAIL_REPLAYED).after
        assert (told["position"], told["digest"]) == (last["position"], last["digest"])
        self.export()
        assert verification.verify().fault_count == 0
