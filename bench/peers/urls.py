"""The peers' routes: each view with no credential, a token and a key."""

from django.urls import path
from rest_framework_simplejwt.views import TokenRefreshView
from stock import views

urlpatterns = [
    path("plain/static", views.StaticView.as_view()),
    path("plain/rows", views.RowsView.as_view()),
    path("simplejwt/static", views.StaticView.as_view(**views.BY_TOKEN)),
    path("simplejwt/rows", views.RowsView.as_view(**views.BY_TOKEN)),
    path("api-key/static", views.StaticView.as_view(**views.BY_KEY)),
    path("simplejwt/refresh", TokenRefreshView.as_view()),
]
