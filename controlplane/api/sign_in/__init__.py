"""Signing in: with a token, or with an identity provider; and the session that follows."""

from controlplane.api.sign_in.handlers import SignIn, sign_in_router
from controlplane.api.sign_in.oidc import IdentityProvider

__all__ = ["IdentityProvider", "SignIn", "sign_in_router"]
