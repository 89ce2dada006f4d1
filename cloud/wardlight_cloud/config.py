"""The cloud's settings: one TOML file, secrets by environment (``WARDLIGHT_*``), one typed object.

docs/settings.md names every key (a test holds it equal). An environment variable
``WARDLIGHT_<SECTION>__<KEY>`` replaces the file's value. Nothing reads the environment later.

Errors  ConfigError: file, key and what to do
"""

import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from wardlight_shared.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Of = TypeVar("_Of", bound=_Section)


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


class ObjectPlace(_Section):
    """Where objects are kept: a folder of this machine, or a bucket of any S3."""

    url: str | None = Field(None, description="s3://bucket/folder; none: a folder")
    folder: Path | None = Field(None, description="folder on this machine")
    endpoint: str | None = Field(None, description="address of the S3 server; none: AWS")
    region: str = Field("us-east-1", description="region of the bucket")
    access_key: SecretStr | None = Field(None, description="key id; none: as AWS's tools find it")
    secret_key: SecretStr | None = Field(None, description="secret of the key; environment only")
    allow_http: bool = Field(False, description="true: an endpoint without TLS is allowed")
    timeout_s: float = Field(60.0, ge=1, le=3600, description="limit of one request to S3")

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.url is not None and self.folder is not None:
            raise ValueError("give url or folder, not both")
        return self


class ColdSettings(ObjectPlace):
    """A second place, cheaper and slower."""

    after_days: int = Field(365, ge=1, description="files stored longer ago than this go there")
    delay_s: int = Field(0, ge=0, description="how long reading from there takes, told to clients")


class ObjectsSettings(ObjectPlace):
    """Image files, by their SHA-256."""

    largest_bytes: int = Field(
        8 << 30, ge=1 << 20, description="a larger file is refused before it is sent"
    )
    cold: ColdSettings | None = Field(None, description="second place for old files")


class KeepSettings(_Section):
    """How long images are kept; the first rule whose conditions hold decides."""

    days: int = Field(..., ge=1, description="days after which a study is removed")
    modalities: tuple[str, ...] = Field((), description="only studies of these alone; empty: all")
    unmatched: bool = Field(False, description="true: only studies that are no patient's")


class ImagesSettings(_Section):
    """The index of images and what is done with them."""

    processes: int = Field(2, ge=1, le=64, description="processes that read headers")
    header_timeout_s: float = Field(30.0, ge=1, le=600, description="limit of reading one header")
    header_memory_bytes: int = Field(
        1 << 30, ge=256 << 20, description="memory of such a process at most"
    )
    inflated_bytes: int = Field(
        256 << 20, ge=1 << 20, description="a deflated file may become this large at most"
    )
    issuer: str | None = Field(
        None, description="issuer of patient ids that come without one; an identifier's system"
    )
    issuers: dict[str, str] = Field(
        {}, description="issuer as devices send it = system of the register's identifiers"
    )
    gateway_issuers: dict[str, str] = Field(
        {}, description="gateway = issuer of patient ids that come without one from its site"
    )
    keep: tuple[KeepSettings, ...] = Field((), description="retention rules; empty: for ever")
    scrub_days: int = Field(30, ge=1, description="every object is read and checked once in these")
    scrub_bytes_per_s: int = Field(
        20_000_000, ge=100_000, description="how fast checks read at most"
    )


class HttpSettings(_Section):
    """API and dashboard."""

    host: str = Field("127.0.0.1", description="listen address; put a TLS proxy in front")
    port: int = Field(8080, ge=0, le=65535, description="0 = any free port")
    workers: int = Field(1, ge=1, le=64, description="API processes")
    base_url: str | None = Field(None, description="public URL for links, without trailing slash")
    cors_origins: tuple[str, ...] = Field(
        (), description="origins of web apps that may ask FHIR, as https://app.example; * = any"
    )
    cookie_secure: bool = Field(False, description="true behind TLS: session cookies need https")
    key_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="networks where addresses of clients' keys may lie beside public ones"
    )


class FhirSettings(_Section):
    """FHIR: how much one client may ask of each API process, and how answers are sent."""

    requests_per_s: float = Field(
        500, ge=0, description="requests of a client in the long run; 0 = no limit"
    )
    request_burst: int = Field(5000, ge=1, description="requests of a client at once")
    bytes_per_s: float = Field(
        50_000_000, ge=0, description="octets of answers to a client in the long run; 0 = no limit"
    )
    byte_burst: int = Field(1_000_000_000, ge=1 << 20, description="octets of answers at once")
    gzip: bool = Field(True, description="compress answers for clients that take gzip")
    keep_days: bool = Field(True, description="keep what was written of days that are over")
    prescribing_clients: tuple[str, ...] = Field(
        (), description="clients (of the EHR) whose MedicationRequests may be orders"
    )


class ExportSettings(_Section):
    """Bulk exports: their files, and how many there may be."""

    folder: Path | None = Field(
        None, description="for the files, the same for all API processes; none: data_dir/exports"
    )
    quota_bytes: int = Field(
        20 << 30, ge=1 << 20, description="the files of all exports together at most"
    )
    file_bytes: int = Field(1 << 30, ge=1 << 10, description="then another file is begun")
    keep_hours: float = Field(24, gt=0, le=8760, description="how long files stay")
    per_client: int = Field(2, ge=1, le=100, description="exports of a client at a time")
    in_all: int = Field(8, ge=1, le=1000, description="exports at a time")


class DicomSettings(_Section):
    """Query/Retrieve for hospitals, and forwarding: `wardlight-cloud dicom`."""

    ae_title: str = Field(
        "WARDLIGHT", pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$",
        description="our AE title: up to 16 characters without backslash",
    )  # fmt: skip
    host: str = Field("127.0.0.1", description="listen address")
    port: int = Field(
        11112, ge=0, le=65535,
        description="0 takes a free port and writes it to data_dir/dicom.port",
    )  # fmt: skip
    cert_file: Path | None = Field(None, description="TLS certificate; with it TLS only")
    key_file: Path | None = Field(None, description="its key, mode 0600")
    ca_file: Path | None = Field(None, description="CA whose certificates callers must show")
    max_associations: int = Field(16, ge=1, le=256, description="associations at a time")
    max_results: int = Field(2000, ge=1, le=65535, description="matches of one C-FIND at most")
    idle_timeout_s: float = Field(60.0, ge=1, le=3600, description="limit of a silent peer")

    @model_validator(mode="after")
    def _has_all_of_tls(self) -> Self:
        files = (self.cert_file, self.key_file, self.ca_file)
        if any(files) and not all(files):
            raise ValueError("TLS needs cert_file, key_file and ca_file")
        return self


class DicomWebSettings(_Section):
    """DICOMweb: what decoding and rendering may use, in each API process."""

    processes: int = Field(2, ge=1, le=64, description="processes that decode images")
    decode_s: float = Field(20.0, ge=1, le=600, description="limit of decoding one object")
    decode_memory_bytes: int = Field(
        2 << 30, ge=512 << 20, description="memory of such a process at most"
    )
    pictures_bytes: int = Field(
        64 << 20, ge=1 << 20, description="rendered pictures that are kept in memory"
    )


class AuditSettings(_Section):
    """Who did what with patients' data."""

    keep_days: int = Field(2192, ge=1, description="days after which an entry is removed")


class Hl7DestinationSettings(_Section):
    """A receiver of HL7 v2 messages."""

    name: str = Field(..., pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="a-z, 0-9 and -")
    host: str = Field(..., description="host of its MLLP port")
    port: int = Field(..., ge=1, le=65535, description="its MLLP port")
    application: str = Field("", description="MSH-5, the receiving application")
    facility: str = Field("", description="MSH-6, the receiving facility")
    interval_s: int = Field(
        0, ge=0, le=86400, description="a message for each patient and interval; 0: each reading"
    )
    metrics: tuple[str, ...] = Field((), description="only these metrics; empty: all")
    authorities: dict[str, str] = Field(
        {}, description="system of an identifier = its assigning authority in PID-3"
    )
    answer_s: float = Field(30.0, ge=1, le=600, description="limit of an acknowledgement")
    tls: bool = Field(False, description="true: MLLP over TLS")
    ca_file: Path | None = Field(None, description="CA of its certificate; none: the system's")
    cert_file: Path | None = Field(None, description="our certificate, where it wants one")
    key_file: Path | None = Field(None, description="its key, mode 0600")


class Hl7Settings(_Section):
    """HL7 v2 out: readings as ORU^R01 over MLLP."""

    application: str = Field("WARDLIGHT", description="MSH-3, the sending application")
    facility: str = Field("", description="MSH-4, the sending facility")
    destinations: tuple[Hl7DestinationSettings, ...] = Field((), description="receivers")

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        names = [each.name for each in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have one name")
        return self


class SubscriptionSettings(_Section):
    """FHIR Subscriptions: where notices may go, and how many there may be."""

    networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="networks where receivers of notices may lie beside public addresses"
    )
    on_this_machine: bool = Field(
        False, description="true: http://localhost receives, too; for trying out"
    )
    per_client: int = Field(100, ge=1, le=100_000, description="Subscriptions of one client")
    event_days: int = Field(7, ge=4, le=365, description="how long events can be asked for")


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
    objects: ObjectsSettings = ObjectsSettings()
    images: ImagesSettings = ImagesSettings()
    http: HttpSettings = HttpSettings()
    fhir: FhirSettings = FhirSettings()
    export: ExportSettings = ExportSettings()
    dicom: DicomSettings = DicomSettings()
    dicomweb: DicomWebSettings = DicomWebSettings()
    audit: AuditSettings = AuditSettings()
    subscriptions: SubscriptionSettings = SubscriptionSettings()
    hl7: Hl7Settings = Hl7Settings()
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
    return settings.model_copy(
        update={
            "data_dir": folder / settings.data_dir,
            "broker": _section_in(settings.broker, folder),
            "dicom": _section_in(settings.dicom, folder),
            "hl7": settings.hl7.model_copy(
                update={
                    "destinations": tuple(
                        _section_in(each, folder) for each in settings.hl7.destinations
                    )
                }
            ),
        }
    )


def _section_in(section: _Of, folder: Path) -> _Of:
    """The section with its ``..._file`` keys as paths of ``folder``."""
    files = {
        name: folder / path
        for name in type(section).model_fields
        if name.endswith("_file") and (path := getattr(section, name)) is not None
    }
    return section.model_copy(update=files)
