"""People at the staff console, with what of theirs concerns credentials."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from accounts import admin as accounts_admin
from accounts.models import User
from authn import passwords, reclaim, recovery, sessions
from authn.admin.merchants import events_table, link
from authn.admin.sessions import state_badge
from authn.forms import ReclaimForm
from authn.mfa import factors
from authn.models import Session
from fluxiq.admin_actions import NoForm, ObjectAction, Tool
from fluxiq.admin_site import dress
from fluxiq.audit.models import AuditEvent
from fluxiq.errors import Conflict
from fluxiq.panels import Table
from fluxiq.times import moment
from merchants.admin import may_see
from merchants.models import Membership

SHOWN = 10

admin.site.unregister(User)


@admin.register(User)
class UserAdmin(accounts_admin.UserAdmin):
    """People, with their sessions, two ways to a new password, which ends them all, one back to a
    password alone for whoever lost the second factor, and one that gives a document back."""

    object_actions: ClassVar = (
        ObjectAction(
            name="end-sessions",
            label=gettext_lazy("End all sessions"),
            explanation=gettext_lazy(
                "Their tokens are refused from the next request on. They are signed out of the"
                " staff console too, and whoever has begun to sign in begins again."
            ),
            perform=lambda user, reason: sessions.sign_out(user, "ended by staff"),
            applies_to=lambda user: user.is_active,  # of the others, nothing is in force
            permission="authn.change_session",
        ),
        ObjectAction(
            name="reset-mfa",
            label=gettext_lazy("Reset second factor"),
            explanation=gettext_lazy(
                "The lost authenticator app and its recovery codes are removed, and every session"
                " of theirs ends. Make sure first who asks."
            ),
            perform=factors.reset,
            applies_to=lambda user: user.has_second_factor,
            asks_reason=True,
        ),
        *accounts_admin.UserAdmin.object_actions,
    )

    def get_object_tools(self, request: HttpRequest, obj: User) -> list[Tool]:
        tools = super().get_object_tools(request, obj)
        if self.has_action_permission(request, obj) and obj.is_active:
            tools.append(Tool(gettext_lazy("Password reset link"), self._url("reset_link", obj)))
            label = gettext_lazy("Give document back")
            tools.append(Tool(label, self._url("reclaim", obj), is_red=True))
        if self.has_change_permission(request, obj):
            tools.append(Tool(gettext_lazy("Set password"), self._url("password", obj)))
        return tools

    def get_object_panels(self, request: HttpRequest, obj: User) -> list[tuple[str, Any]]:
        panels = []
        if may_see(request, Membership):
            panels.append(_memberships(obj))
        if may_see(request, Session):
            panels.append(_sessions(obj))
        if may_see(request, AuditEvent):
            events = AuditEvent.objects.filter(object_id=obj.pk)
            panels.append(events_table(events, urlencode({"q": obj.pk})))
        return [(panel.template, panel) for panel in panels]

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "password": self.set_password,
            "reset_link": self.make_reset_link,
            "reclaim": self.reclaim,
        }
        return [
            path(
                f"<path:object_id>/{name.replace('_', '-')}/",
                self.admin_site.admin_view(page),
                name=f"accounts_user_{name}",
            )
            for name, page in pages.items()
        ] + super().get_urls()

    @method_decorator(sensitive_variables("reset_link"))
    def make_reset_link(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A link that lets the person set a password once: it stands on the answer, and nowhere
        after. Making it ends nothing; it dies with the password that it replaces."""
        user = self.actionable(request, object_id)
        if request.method != "POST" or not user.is_active:
            context = self.page_context(
                request,
                _("Password reset link"),
                original=user,
                form=NoForm(),
                back=self._url("change", user),
            )
            return TemplateResponse(request, "admin/accounts/user/reset_link.html", context)
        reset_link = recovery.hand_over_link(user)
        self.log_change(request, user, _("Password reset link"))
        context = self.page_context(
            request,
            _("Password reset link"),
            original=user,
            secret=reset_link,
            back=self._url("change", user),
        )
        headers = {"Cache-Control": "no-store"}
        return TemplateResponse(
            request, "admin/accounts/user/reset_link_made.html", context, headers=headers
        )

    @method_decorator(sensitive_variables("done"))
    def reclaim(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shut out whoever registered a document that is not theirs. The link for its holder
        stands on the answer, and nowhere after."""
        user = self.actionable(request, object_id)
        form = ReclaimForm(request.POST or None, memberships=reclaim.memberships_of(user))
        context = self.page_context(
            request,
            _("Give document back"),
            original=user,
            form=form,
            back=self._url("change", user),
        )
        if form.is_valid():
            chosen = form.cleaned_data
            try:
                done = reclaim.reclaim(user, chosen["reason"], ending=chosen["memberships"])
            except Conflict as error:
                form.add_error(None, _(error.message))
            else:
                self.log_change(request, user, _("Give document back"))
                return TemplateResponse(
                    request,
                    "admin/accounts/user/reclaimed.html",
                    {**context, "done": done},
                    headers={"Cache-Control": "no-store"},
                )
        return TemplateResponse(request, "admin/accounts/user/reclaim.html", context)

    @method_decorator(sensitive_post_parameters())
    def set_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Set the password of another; one's own is changed by proving the present one."""
        user = self.changeable(request, object_id)
        if user.pk == request.user.pk:
            return HttpResponseRedirect(reverse("admin:password_change"))
        form = SetPasswordForm(user, request.POST or None)
        dress(form)
        if form.is_valid():
            passwords.reset(user, form.cleaned_data["new_password1"])
            self.log_change(request, user, _("Set password"))
            message = _("Password set; every session ended: %(user)s") % {"user": user}
            self.message_user(request, message, messages.SUCCESS)
            return HttpResponseRedirect(self._url("change", user))
        context = self.page_context(
            request, _("Set password"), original=user, form=form, back=self._url("change", user)
        )
        return TemplateResponse(request, "admin/accounts/user/set_password.html", context)


def _sessions(user: User) -> Table:
    rows = [
        (
            link(session, moment(session.created_at)),
            state_badge(session),
            session.address,
            moment(session.last_used_at),
            session.user_agent[:60],
        )
        for session in user.sessions.order_by("-pk")[:SHOWN]
    ]
    headers = (_("begun"), _("state"), _("address"), _("last used at"), _("user agent"))
    query = urlencode({"user__id__exact": user.pk})
    url = f"{reverse('admin:authn_session_changelist')}?{query}"
    return Table(_("Sessions"), headers, rows, url)


def _memberships(user: User) -> Table:
    memberships = user.memberships.select_related("merchant").order_by("-pk")[:SHOWN]
    rows = [
        (
            format_html("{}", link(m.merchant, m.merchant.name)),
            _(m.get_role_display()),
            _(m.get_status_display()),
        )
        for m in memberships
    ]
    return Table(_("Memberships"), (_("merchant"), _("role"), _("status")), rows)
