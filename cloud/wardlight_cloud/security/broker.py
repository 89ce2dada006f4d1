"""What each client may do at the broker: one rule set, written for nats-server and for mosquitto.

    gateway     publishes wl/1/<its shard>/<itself>/up/# and .../state, subscribes to its .../down/#
    collector   subscribes to wl/1/+/+/up/# and wl/1/+/+/state, publishes wl/1/+/+/down/#
    API         publishes wl/1/+/+/down/config and wl/1/+/+/down/worklist
Everything else is refused. A client proves its name by its certificate.

Both results are pure text, and depend on nothing but the names: the same names give the same file.
Source: NATS documentation, "Authorization" and "MQTT"; mosquitto.conf(5), acl_file. Both were tried
on nats-server 2.15.1 and mosquitto 2.0.11 (tests/integration/broker).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wardlight_cloud.security.roles import Role
from wardlight_shared import topics
from wardlight_shared.topics import Down

_HEAD = "# Written by Wardlight from its list of gateways. Changes made here are lost.\n"
# Of clients without a name, of which there are none. An empty list might mean "no restriction".
MOSQUITTO_FIRST_LINE = "topic deny #"
_ANY_GATEWAY = f"{topics.ROOT}/+/+"
# Where nats-server delivers QoS 1 messages to a client's subscriptions. It refuses the topic itself
# to MQTT clients, and MQTT clients are all it lets in, so nobody can listen there to others.
_NATS_DELIVERY = "$MQTT.sub.>"


@dataclass(frozen=True)
class Rights:
    """One client and the topic filters it may publish to and subscribe to."""

    name: str
    role: Role
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True, init=False)
class BrokerPermissions:
    """The clients a broker lets in. Names are checked, sorted, and each occurs once.

    Raises ValueError for a name that does not fit its role.
    """

    gateways: tuple[str, ...]
    collectors: tuple[str, ...]
    apis: tuple[str, ...]

    def __init__(
        self,
        *,
        gateways: Iterable[str] = (),
        collectors: Iterable[str] = (),
        apis: Iterable[str] = (),
    ) -> None:
        object.__setattr__(self, "gateways", _checked(gateways, Role.GATEWAY))
        object.__setattr__(self, "collectors", _checked(collectors, Role.COLLECTOR))
        object.__setattr__(self, "apis", _checked(apis, Role.API))

    def rights(self) -> Iterator[Rights]:
        """The rights of every client, as MQTT topic filters."""
        for name in self.collectors:
            heard = (f"{_ANY_GATEWAY}/up/#", f"{_ANY_GATEWAY}/state")
            yield Rights(name, Role.COLLECTOR, (f"{_ANY_GATEWAY}/down/#",), heard)
        for name in self.apis:
            said = tuple(f"{_ANY_GATEWAY}/down/{flow}" for flow in (Down.CONFIG, Down.WORKLIST))
            yield Rights(name, Role.API, said, ())
        for name in self.gateways:
            base = topics.base(name)
            said = (f"{base}/up/#", f"{base}/state")
            yield Rights(name, Role.GATEWAY, said, (f"{base}/down/#",))

    def nats_authorization(self) -> str:
        """The file that nats-server's configuration includes: one user for each client."""
        users = "".join(_nats_user(rights) for rights in self.rights())
        return f"{_HEAD}authorization {{\n  timeout: 20\n  users: [\n{users}  ]\n}}\n"

    def mosquitto_acl(self) -> str:
        """The file that mosquitto's `acl_file` names: one section for each client."""
        users = "".join(_mosquitto_user(rights) for rights in self.rights())
        return f"{_HEAD}{MOSQUITTO_FIRST_LINE}\n{users}"


def nats_subjects(topic_filter: str) -> tuple[str, ...]:
    """An MQTT filter in NATS's spelling; `a/#` takes two, for it also means `a` itself."""
    subject = topic_filter.replace("/", ".").replace("+", "*")
    if subject.endswith(".#"):
        return f"{subject[:-1]}>", subject[:-2]
    return (subject,)


def _checked(names: Iterable[str], role: Role) -> tuple[str, ...]:
    unique = sorted(set(names))
    for name in unique:
        role.require(name)
    return tuple(unique)


def _nats_user(rights: Rights) -> str:
    """A user by its certificate's whole subject: the same name in another role is nobody."""
    heard = [subject for topic in rights.subscribe for subject in nats_subjects(topic)]
    said = [subject for topic in rights.publish for subject in nats_subjects(topic)]
    subscribe = f"{{ allow: {_nats_list([*heard, _NATS_DELIVERY])} }}" if heard else '{ deny: ">" }'
    return (
        f'    {{ user: "OU={rights.role.value},CN={rights.name}"\n'
        '      allowed_connection_types: ["MQTT"]\n'
        "      permissions: {\n"
        f"        publish: {{ allow: {_nats_list(said)} }}\n"
        f"        subscribe: {subscribe}\n"
        "      } }\n"
    )


def _nats_list(subjects: list[str]) -> str:
    return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"


def _mosquitto_user(rights: Rights) -> str:
    said = "".join(f"topic write {topic}\n" for topic in rights.publish)
    heard = "".join(f"topic read {topic}\n" for topic in rights.subscribe)
    return f"\nuser {rights.name}\n{said}{heard}"
