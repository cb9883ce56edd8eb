"""Groups at the staff console: superusers change them, and that is audited."""

from django.contrib.auth.models import Group, Permission

from fluxiq.tests.console import ConsoleTestCase


class GroupTests(ConsoleTestCase):
    def test_plain_staff_cannot_raise_themselves_through_their_group(self) -> None:
        group = Group.objects.create(name="Support")
        self.sam.groups.add(group)
        self.enter(self.sam, "auth.change_group", "auth.view_group", "auth.add_group")
        permission = Permission.objects.get(codename="add_apikey")
        path = f"auth/group/{group.pk}/change/"
        self.send(path, 403, name="Support", permissions=[permission.pk])
        self.look("auth/group/add/", 403)
        assert not group.permissions.exists()

    def test_what_a_superuser_changes_is_audited(self) -> None:
        self.enter(self.root)
        permission = Permission.objects.get(codename="add_apikey")
        self.send("auth/group/add/", name="Support", permissions=[permission.pk])
        group = Group.objects.get(name="Support")
        self.send(f"auth/group/{group.pk}/change/", name="Support", permissions=[])
        self.send(f"auth/group/{group.pk}/delete/", post="yes")
        Group.objects.create(name="Other")
        self.act("auth/group/", "delete_selected", Group.objects.get(name="Other"))
        added, changed, deleted, _ = self.events("staff.action", actor_id=self.root.id)
        assert added.object_id == f"group_{group.pk}"
        assert added.after == {"name": "Support", "permissions": [str(permission)]}
        assert changed.before == {"permissions": [str(permission)]}
        assert changed.after == {"permissions": []}
        assert (deleted.before, deleted.after) == ({"name": "Support"}, {})
        assert not Group.objects.filter(name__in=["Support", "Other"]).exists()
