"""The people who sign in: users, by document and password."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import hashers
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import documents
from accounts.signals import access_withdrawn
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.names import NameField


def normalise_document(text: str) -> str:
    """A document as it is stored, check digits verified where the deployment asks for it.

    Raises documents.InvalidDocument.
    """
    return documents.normalise(text, verify_check_digits=settings.VERIFY_DOCUMENT_CHECK_DIGITS)


def validate_document(text: str) -> None:
    """A field validator. Raises ValidationError."""
    try:
        normalise_document(text)
    except documents.InvalidDocument as error:
        raise ValidationError(str(error)) from error


def clean_document(text: str) -> str:
    """The document for a model's clean(), as it is where the field's validator refuses it."""
    try:
        return normalise_document(text)
    except documents.InvalidDocument:
        return text


class UserManager(BaseUserManager["User"]):
    """Finds and makes users by document, however it is punctuated."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user of this document. Raises User.DoesNotExist, also for what is no document."""
        user = self.for_document(username or "")
        if user is None:
            raise self.model.DoesNotExist
        return user

    def for_document(self, document: str) -> "User | None":
        """The user of this document, or None: unknown, or no document at all."""
        try:
            return self.filter(document=normalise_document(document)).first()
        except documents.InvalidDocument:
            return None

    def lock(self, user_id: str) -> "User":
        """The user, their row locked until the transaction ends. Raises User.DoesNotExist."""
        return self.select_for_update(no_key=True).get(pk=user_id)

    def lock_as_proved(self, proved: "User") -> "models.QuerySet[User]":
        """The user, locked, where what their password proved still holds.

        Empty for another password by now, another document, a user who is no longer active, or one
        whose sessions were all ended meanwhile. What a request judged before it had the lock is
        judged again by it.
        """
        return self.select_for_update(no_key=True).filter(
            pk=proved.pk,
            document=proved.document,
            password=proved.password,
            session_epoch=proved.session_epoch,
            is_active=True,
        )

    def create_user(self, document: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user, as `unsaved` is told. Raises documents.InvalidDocument; IntegrityError for
        one who exists."""
        user = self.unsaved(document, password, **fields)
        self.register(user)
        return user

    def unsaved(
        self,
        document: str,
        password: str | None = None,
        *,
        name: str,
        email: str = "",
        is_superuser: bool = False,
        **extra: Any,
    ) -> "User":
        """A user to be registered, with the password hashed. Raises documents.InvalidDocument."""
        user = self.model(
            document=normalise_document(document),
            name=name,
            email=self.normalize_email(email),
            is_superuser=is_superuser,
            is_staff=extra.pop("is_staff", is_superuser),
            **extra,
        )
        user.set_password(password)
        return user

    @transaction.atomic
    def register(self, user: "User", actor: tuple[str, str] | None = None) -> None:
        """Save a new user, made by that actor. Raises IntegrityError for one who exists."""
        user.save(force_insert=True)
        audit.record(
            audit.Kind.USER_CREATED,
            object_id=user.id,
            after={
                "document": user.masked_document,
                "name": user.name,
                "is_superuser": user.is_superuser,
                "is_staff": user.is_staff,
            },
            actor=actor,
        )

    def create_superuser(self, document: str, password: str | None = None, **extra: Any) -> "User":
        """Make a member of platform staff who holds `*` at every merchant."""
        return self.create_user(document, password, is_superuser=True, **extra)

    def begin_session_epochs(self, batch_size: int) -> None:
        """`User.begin_session_epoch` of everybody, that many in each transaction."""
        last, in_order = "", self.order_by("pk").values_list("pk", flat=True)
        while batch := list(in_order.filter(pk__gt=last)[:batch_size]):
            self.filter(pk__in=batch).update(session_epoch=models.F("session_epoch") + 1)
            last = batch[-1]


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with a document and a password."""

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_user_id, editable=False
    )
    document = models.CharField(
        max_length=documents.CNPJ_LENGTH, unique=True, validators=[validate_document]
    )
    name = NameField()
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("staff status", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Since when a second factor is asked for at sign-in: kept here by the floor that knows factors,
    # so that whoever reads the user knows, and locking this row settles it.
    mfa_enrolled_at = models.DateTimeField(
        "second factor since", null=True, blank=True, editable=False
    )
    # How many times all sessions of this user were ended. It is a part of `get_session_auth_hash`.
    session_epoch = models.IntegerField(default=0, db_default=0, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "document"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["-id"], condition=models.Q(is_staff=True), name="user_is_staff"),
            models.Index(
                fields=["-id"], condition=models.Q(is_superuser=True), name="user_is_superuser"
            ),
            models.Index(
                fields=["-id"], condition=models.Q(is_active=False), name="user_is_inactive"
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(Exact(Length("document"), documents.CPF_LENGTH))
                | models.Q(Exact(Length("document"), documents.CNPJ_LENGTH)),
                name="user_document_is_cpf_or_cnpj",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.masked_document})"

    @property
    def masked_document(self) -> str:
        """The document as far as it may be shown."""
        return documents.mask(self.document)

    @property
    def has_second_factor(self) -> bool:
        """Whether a password alone does not sign this user in."""
        return self.mfa_enrolled_at is not None

    def has_password_mark(self, mark: str) -> bool:
        """Whether this is the `get_session_auth_hash` of the present password.

        Another server may have made it under what is a key of SECRET_KEY_FALLBACKS here.
        """
        marks = (self.get_session_auth_hash(), *self.get_session_auth_fallback_hash())
        return any(constant_time_compare(mark, own) for own in marks)

    def get_full_name(self) -> str:
        """What Django's pages call the person, who would else be called by their document."""
        return self.name or self.masked_document

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """An HMAC of `session_epoch`, in the place of Django's HMAC of the password's hash.

        Both public methods, the one for SECRET_KEY_FALLBACKS too, are made of it. Whoever sets
        another password begins an epoch; a hash that is renewed at a sign-in signs nobody out.
        """
        value = f"{self.pk}.{self.session_epoch}"
        salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
        return salted_hmac(salt, value, secret=secret, algorithm="sha256").hexdigest()

    @transaction.atomic
    def begin_session_epoch(self) -> None:
        """Have no session and no sign-in count that holds this user's present session auth hash.

        The console's sessions, its pending sign-ins and the API's challenges each hold the hash of
        the moment when the password was proved, and are compared with the user's row as it is. A
        counter, not a time: clocks differ between servers, and two changes may share a
        microsecond. The UPDATE locks the row until the transaction ends; `session_epoch` of this
        object is then the row's.
        """
        row = type(self).objects.filter(pk=self.pk)
        row.update(session_epoch=models.F("session_epoch") + 1)
        self.session_epoch = row.values_list("session_epoch", flat=True).get()

    def clean(self) -> None:
        """Normalise e-mail address and document."""
        self.email = type(self).objects.normalize_email(self.email)
        self.document = clean_document(self.document)

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password. A hash of older parameters is renewed on the way.

        It is renewed by compare-and-swap: Django's own setter would write over a password that was
        changed while this one was checked.
        """
        is_right = hashers.check_password(raw_password, self.password, self._renew_hash)
        return bool(is_right)

    def _renew_hash(self, raw_password: str) -> None:
        renewed = hashers.make_password(raw_password)
        if self.replace_password(renewed, self.password):
            return
        # Changed meanwhile. Another sign-in may have renewed it: then it is still this password.
        stored = type(self).objects.values_list("password", flat=True).get(pk=self.pk)
        if hashers.check_password(raw_password, stored):
            self.password = stored

    def replace_password(self, encoded: str, replaced: str) -> bool:
        """Store a hash where `replaced` is still the one that is stored. Whether it was."""
        found = type(self).objects.filter(pk=self.pk, password=replaced)
        if not found.update(password=encoded):
            return False
        self.password = encoded
        return True

    @transaction.atomic
    def deactivate(self, reason: str = "") -> None:
        """Shut this user out; every session ends. Does nothing to one who is out already."""
        if not type(self).objects.filter(pk=self.pk, is_active=True).update(is_active=False):
            return
        self.is_active = False
        audit.record(
            audit.Kind.USER_DEACTIVATED,
            object_id=self.id,
            before={"is_active": True},
            after={"is_active": False, "reason": reason},
        )
        access_withdrawn.send(type(self), user=self, reason="user deactivated")

    @transaction.atomic
    def reactivate(self) -> None:
        """Let this user sign in again; sessions that ended stay ended."""
        if not type(self).objects.filter(pk=self.pk, is_active=False).update(is_active=True):
            return
        self.is_active = True
        audit.record(
            audit.Kind.USER_REACTIVATED,
            object_id=self.id,
            before={"is_active": False},
            after={"is_active": True},
        )
