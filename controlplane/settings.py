"""The SLUICE_* settings of the service and the stack, typed, read once at the edge of a process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from controlplane.defaults import HOME, HOST, PREFIX, SERVICE_PORT
from controlplane.errors import InvalidSettings

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """The settings of one process. A field `redis_url` is read from SLUICE_REDIS_URL."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    home: Path = Field(HOME, description="folder of the embedded stack's state")
    host: str = Field(HOST, description="address that our own servers listen on")
    service_port: Port = Field(SERVICE_PORT, description="the admin service")
    gateway_port: Port = Field(9080, description="the fallback gateway's traffic")
    gateway_admin_port: Port = Field(9180, description="the fallback gateway's Admin API")
    mock_port: Port = Field(9500, description="the mock LLM provider")
    postgres_port: Port = Field(8432, description="the embedded Postgres")
    redis_port: Port = Field(8479, description="the embedded Valkey")

    postgres_bindir: Path | None = Field(None, description="folder of other Postgres programs to embed")
    valkey_server: Path | None = Field(None, description="another valkey-server or redis-server to embed")

    database_url: str | None = Field(None, description="a Postgres of yours instead of the embedded one")
    redis_url: str | None = Field(None, description="a Redis or Valkey of yours instead of the embedded one")
    gateway_admin_url: str | None = Field(
        None, description="Admin API of an APISIX of yours instead of the fallback gateway"
    )
    gateway_admin_key: SecretStr | None = Field(None, description="the key of that Admin API")
    fallback_admin_key: SecretStr | None = Field(None, description="the fallback gateway's Admin API key")
    master_key: SecretStr | None = Field(None, description="32 bytes, base64: seals every secret at rest")
    admin_token: SecretStr | None = Field(None, description="bearer token of the admin REST API")

    public_url: str | None = Field(
        None, pattern=r"^https?://[^/?#]+$", description="where browsers find the service, behind any proxy"
    )
    oidc_issuer: str | None = Field(
        None, pattern=r"^https?://[^?#]+$", description="the identity provider that people sign in with"
    )
    oidc_client_id: str | None = Field(None, description="our name at the identity provider")
    oidc_client_secret: SecretStr | None = Field(None, description="our secret at the identity provider")

    validation_url: str | None = Field(
        None,
        pattern=r"^https?://[^?#]+$",
        description="where gateways reach the service, to ask external validators and to tell of calls",
    )

    gateway_files: Path | None = Field(
        None, description="folder of the files that gateways of kind apisix-yaml are written to"
    )

    tenant_targets_refused: str | None = Field(
        None, max_length=4096, description="networks and hosts that a tenant's people may not send calls to"
    )

    base_domain: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$",
        max_length=180,
        description="tenants with a subdomain are served under it alone: acme.<base domain>",
    )
    owner: str = Field("sluice", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="our label on a gateway")
    log_level: str = Field("info", pattern=r"^(debug|info|warning|error)$")
    reconcile_interval_s: float = Field(10.0, gt=0, le=3600, description="the reconciler's timer")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from environment variables; an empty variable counts as not set."""
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            value = environ.get(PREFIX + name.upper(), "")
            if value:
                values[name] = value
        try:
            return cls(**values)
        except ValidationError as error:
            raise InvalidSettings.from_validation(error) from None

    @property
    def browser_url(self) -> str:
        """Where browsers find the service."""
        return self.public_url or f"http://{self.host}:{self.service_port}"

    @property
    def gateways_url(self) -> str:
        """Where gateways find the service."""
        return self.validation_url or self.browser_url
