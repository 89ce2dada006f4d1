"""The cloud's settings: one TOML file, secrets by environment (``WARDLIGHT_*``), one typed object.

docs/settings.md names every key (a test holds it equal). An environment variable
``WARDLIGHT_<SECTION>__<KEY>`` replaces the file's value. Nothing reads the environment later.

Errors  ConfigError: file, key and what to do
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from wardlight_shared.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """Where the rows live. Without ``dsn`` an embedded Postgres runs in ``data_dir``/postgres."""

    dsn: SecretStr | None = Field(None, description="postgresql://... of your own server")
    pool_size: int = Field(8, ge=1, le=100, description="connections per process")
    command_timeout_s: float = Field(30.0, gt=0, le=600, description="limit of one statement")
    engine: Literal["auto", "native", "timescale"] = Field(
        "auto", description="auto: TimescaleDB where the server has it, else native partitions"
    )


class BrokerSettings(_Section):
    """The way to the MQTT broker: TLS with a client certificate."""

    host: str = Field("127.0.0.1", description="broker host")
    port: int = Field(8883, ge=1, le=65535, description="broker TLS port")
    ca_file: Path = Field(Path("pki/ca.pem"), description="CA that signed the broker")
    cert_file: Path = Field(Path("pki/collector.pem"), description="client certificate")
    key_file: Path = Field(Path("pki/collector.key"), description="its key, mode 0600")
    keepalive_s: int = Field(30, ge=5, le=3600, description="MQTT keep-alive")
    kind: Literal["nats-server", "mosquitto"] = Field(
        "nats-server", description="form of the permissions file"
    )
    permissions_file: Path | None = Field(
        None, description="the file with the permissions; `gateway add` and `disable` write it"
    )
    pid_file: Path | None = Field(
        None, description="names the broker's process, which is told to read its file again"
    )
    reload_command: tuple[str, ...] = Field((), description="told in its place, with arguments")
    collectors: tuple[str, ...] = Field(
        ("collector-1", "collector-2"), description="collectors that the permissions let in"
    )
    apis: tuple[str, ...] = Field(("api-1",), description="API processes that they let in")

    @model_validator(mode="after")
    def _is_told_once(self) -> Self:
        if self.pid_file is not None and self.reload_command:
            raise ValueError("give pid_file or reload_command, not both")
        return self


class CollectorSettings(_Section):
    """Ingest."""

    name: str = Field("collector-1", pattern="^[a-z0-9-]{3,32}$", description="lease holder name")
    lease_ttl_s: float = Field(5.0, ge=1, le=60, description="a silent collector loses its shards")
    group_max: int = Field(64, ge=1, le=1024, description="envelopes per transaction at most")
    group_linger_ms: int = Field(5, ge=0, le=1000, description="wait for more envelopes")
    queue_max: int = Field(1024, ge=16, le=65536, description="received, not yet stored envelopes")
    event_id_days: int = Field(400, ge=30, description="how long event ids are remembered")


class HttpSettings(_Section):
    """API and dashboard."""

    host: str = Field("127.0.0.1", description="listen address; put a TLS proxy in front")
    port: int = Field(8080, ge=0, le=65535, description="0 = any free port")
    workers: int = Field(1, ge=1, le=64, description="API processes")
    base_url: str | None = Field(None, description="public URL for links, without trailing slash")
    cookie_secure: bool = Field(False, description="true behind TLS: session cookies need https")


class LogSettings(_Section):
    """Logging to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level")
    format: Literal["text", "json"] = Field("text", description="text or one JSON object a line")


class Settings(BaseSettings):
    """All settings of the cloud side."""

    model_config = SettingsConfigDict(
        env_prefix="WARDLIGHT_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        Path("wardlight-data"), description="embedded parts keep their data here"
    )
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    collector: CollectorSettings = CollectorSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file: the file's values come in as init arguments."""
        return env_settings, init_settings


def load(path: Path | None) -> Settings:
    """Read the settings file (None: defaults and environment). Relative paths: its folder's."""
    values: dict[str, Any] = {}
    source = "environment" if path is None else str(path)
    try:
        if path is not None:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = Settings(**values)
    except OSError as error:
        raise ConfigError(
            f"{source}: cannot be read ({error.strerror}); give --config FILE"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{source}: {key}: {first['msg']}; docs/settings.md lists the keys"
        ) from None
    return settings if path is None else _resolved(settings, path.parent)


def _resolved(settings: Settings, folder: Path) -> Settings:
    broker = settings.broker.model_copy(
        update={
            name: folder / getattr(settings.broker, name)
            for name in ("ca_file", "cert_file", "key_file", "permissions_file", "pid_file")
            if getattr(settings.broker, name) is not None
        }
    )
    return settings.model_copy(update={"data_dir": folder / settings.data_dir, "broker": broker})
