"""The routes of merchants, below `/api/v1`."""

from django.urls import path

from merchants import views

urlpatterns = [
    path("accounts", views.AccountListView.as_view()),  # the hottest of these: tried first
    path("merchants", views.MerchantListView.as_view()),
    path("merchants/<str:merchant_id>", views.MerchantView.as_view()),
    path("accounts/<str:account_id>", views.AccountView.as_view()),
    path("users", views.MemberListView.as_view()),
    path("users/<str:membership_id>", views.MemberView.as_view()),
]
