"""What the peers' second view reads."""

from django.conf import settings
from django.db import models


class Account(models.Model):
    """A payment account, with as much in it as the service's own."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    branch = models.CharField(max_length=4)
    number = models.CharField(max_length=10)
    currency = models.CharField(max_length=3)
    balance = models.DecimalField(max_digits=18, decimal_places=2)
    status = models.CharField(max_length=16)

    def __str__(self):
        return self.name
