"""What a proxy does for one client: each request of the native API and its answer.

Source  aioesphomeapi api.proto; ESPHome components/bluetooth_proxy/bluetooth_proxy.cpp
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from aioesphomeapi import api_pb2 as pb
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO

from wardlight_lab.bluez import AttError, Peripheral
from wardlight_lab.bluez.peripheral import CCCD
from wardlight_lab.bluez.radio_link import Reason
from wardlight_lab.esphome.proxied import Attribute, ProxiedDevice
from wardlight_lab.esphome.wire import Wire

MTU: Final = 247
NOT_CONNECTED: Final = -1
CONNECT_FAILED: Final = 0x3E  # HCI: connection failed to be established
_NUMBERS: Final = {kind: number for number, kind in MESSAGE_TYPE_TO_PROTO.items()}
_CONNECT, _DISCONNECT, _PAIR, _UNPAIR, _WITH_CACHE, _WITHOUT_CACHE, _CLEAR = range(7)
_TYPES: Final = {"public": 0, "random": 1}


class Air(Protocol):
    """What a session sees of its proxy."""

    name: str
    features: int
    links: int
    foreign_links: list[int]
    bonds: dict[str, set[str]]
    listener: "ClientSession | None"
    listen_requests: int
    connects: int

    def free_links(self) -> int:
        """Links that can be lent now."""

    def report_links(self) -> None:
        """Tell every client that asked."""

    def in_range(self, address: int) -> Peripheral | None:
        """The device with this address."""


class ClientSession:
    """One client of a proxy."""

    def __init__(self, proxy: Air, wire: Wire) -> None:
        self._proxy = proxy
        self._wire = wire
        self._counts_links = False
        self.connected: dict[int, ProxiedDevice] = {}

    async def take(self, message: Any) -> bool:
        """Answer a request; False: the client leaves."""
        match message:
            case pb.HelloRequest():
                hello = {"api_version_major": 1, "api_version_minor": 10}
                self._send(pb.HelloResponse(**hello, name=self._proxy.name))
            case pb.AuthenticationRequest():
                self._send(pb.AuthenticationResponse())
            case pb.PingRequest():
                self._send(pb.PingResponse())
            case pb.DeviceInfoRequest():
                self._send(self._information())
            case pb.DisconnectRequest():
                self._send(pb.DisconnectResponse())
                return False
            case pb.SubscribeBluetoothLEAdvertisementsRequest():
                self._proxy.listen_requests += 1
                # There is room for one listener; a second one is refused without a word.
                self._proxy.listener = self._proxy.listener or self
            case pb.SubscribeBluetoothConnectionsFreeRequest():
                self._counts_links = True
                self.report_links()
            case pb.BluetoothDeviceRequest():
                self._device_request(message)
            case _:
                await self._gatt_request(message)
        return True

    def report_links(self) -> None:
        """Tell the client how many links are free, if it has asked."""
        if self._counts_links:
            free, limit = self._proxy.free_links(), self._proxy.links
            allocated = [*self.connected, *self._proxy.foreign_links]
            self._send(
                pb.BluetoothConnectionsFreeResponse(free=free, limit=limit, allocated=allocated)
            )

    def tell_heard(self, heard: Sequence[tuple[Peripheral, bytes]]) -> None:
        """Forward advertisements, several in one message."""
        packets = [
            pb.BluetoothLERawAdvertisement(
                address=_number(each.address),
                rssi=each.rssi.get(self._proxy.name, -60),
                address_type=_TYPES[each.address_type],
                data=octets,
            )
            for each, octets in heard
        ]
        self._send(pb.BluetoothLERawAdvertisementsResponse(advertisements=packets))

    def tell_packet(self, address: int, octets: bytes) -> None:
        """Forward one packet, whatever it is."""
        packet = pb.BluetoothLERawAdvertisement(address=address, rssi=-60, data=octets)
        self._send(pb.BluetoothLERawAdvertisementsResponse(advertisements=[packet]))

    def end(self) -> None:
        """The client is gone: so are its links."""
        for device in tuple(self.connected.values()):
            if device.link is not None:
                device.link.end(Reason.LOCAL)
        self.connected.clear()

    # -- requests for a device

    def _device_request(self, request: Any) -> None:
        if self._proxy.listener is not self:
            return  # all answers go to the listener, whoever asks
        address = int(request.address)
        match request.request_type:
            case kind if kind in {_WITH_CACHE, _WITHOUT_CACHE}:
                self._connect(address)
            case kind if kind == _DISCONNECT:
                self._disconnect(address)
            case kind if kind == _PAIR:
                device = self.connected.get(address)
                reason = device.pair() if device is not None else NOT_CONNECTED
                answer = {"paired": reason is None, "error": reason or 0}
                self._send(pb.BluetoothDevicePairingResponse(address=address, **answer))
            case kind if kind == _UNPAIR:
                had = self._proxy.bonds.pop(_text(address), None) is not None
                # Not BluetoothDeviceUnpairingResponse: so does ESPHome 2026.6.5.
                self._send(pb.BluetoothDevicePairingResponse(address=address, paired=had))

    def _connect(self, address: int) -> None:
        peripheral = self._proxy.in_range(address)
        if peripheral is None or not self._proxy.free_links():
            self._tell_link(address, error=CONNECT_FAILED if peripheral is None else 0)
            return
        device = ProxiedDevice(
            peripheral,
            self._proxy.bonds,
            forward=lambda handle, value: self._send(
                pb.BluetoothGATTNotifyDataResponse(address=address, handle=handle, data=value)
            ),
            ended=lambda: self._ended(address),
        )
        if not device.connect():
            self._tell_link(address, error=CONNECT_FAILED)
            return
        self.connected[address] = device
        self._proxy.connects += 1
        self._tell_link(address, connected=True)
        self._proxy.report_links()
        device.begin()

    def _disconnect(self, address: int) -> None:
        device = self.connected.get(address)
        if device is not None and device.link is not None:
            device.link.end(Reason.LOCAL)
        else:
            self._tell_link(address)

    def _ended(self, address: int) -> None:
        if self.connected.pop(address, None) is not None:
            self._tell_link(address)
            self._proxy.report_links()

    def _tell_link(self, address: int, *, connected: bool = False, error: int = 0) -> None:
        self._send(
            pb.BluetoothDeviceConnectionResponse(
                address=address, connected=connected, mtu=MTU if connected else 0, error=error
            )
        )

    # -- requests on a link

    async def _gatt_request(self, request: Any) -> None:
        address = int(getattr(request, "address", 0))
        device = self.connected.get(address)
        if device is None:
            if address:
                self._refuse(request, NOT_CONNECTED)
            return
        try:
            await self._on_link(device, request)
        except AttError as error:
            self._refuse(request, error.code)

    async def _on_link(self, device: ProxiedDevice, request: Any) -> None:
        address = request.address
        match request:
            case pb.BluetoothGATTGetServicesRequest():
                for service in device.services:
                    told = [_service(*service)]
                    self._send(pb.BluetoothGATTGetServicesResponse(address=address, services=told))
                self._send(pb.BluetoothGATTGetServicesDoneResponse(address=address))
            case pb.BluetoothGATTReadRequest():
                value = await device.read(request.handle)
                self._answer(pb.BluetoothGATTReadResponse, request, data=value)
            case pb.BluetoothGATTWriteRequest():
                await device.write(request.handle, request.data)
                self._answer(pb.BluetoothGATTWriteResponse, request)
            case pb.BluetoothGATTWriteDescriptorRequest():
                device.write_descriptor(request.handle, request.data)
                self._answer(pb.BluetoothGATTWriteResponse, request)
            case pb.BluetoothGATTNotifyRequest():
                device.register(request.handle, enable=request.enable)
                self._answer(pb.BluetoothGATTNotifyResponse, request)

    def _answer(self, kind: Any, request: Any, **fields: Any) -> None:
        self._send(kind(address=request.address, handle=request.handle, **fields))

    def _refuse(self, request: Any, code: int) -> None:
        handle = int(getattr(request, "handle", 0))
        self._send(
            pb.BluetoothGATTErrorResponse(address=request.address, handle=handle, error=code)
        )

    def _information(self) -> Any:
        return pb.DeviceInfoResponse(
            name=self._proxy.name,
            mac_address="02:00:00:00:00:01",
            esphome_version="2026.10.0",
            bluetooth_proxy_feature_flags=self._proxy.features,
        )

    def _send(self, message: Any) -> None:
        self._wire.send(_NUMBERS[type(message)], message.SerializeToString())


def _service(uuid: str, handle: int, attributes: list[Attribute]) -> Any:
    told = [
        pb.BluetoothGATTCharacteristic(
            uuid=_halves(each.characteristic.uuid),
            handle=each.handle,
            properties=each.properties,
            descriptors=[]
            if each.cccd is None
            else [pb.BluetoothGATTDescriptor(uuid=_halves(CCCD), handle=each.cccd)],
        )
        for each in attributes
    ]
    return pb.BluetoothGATTService(uuid=_halves(uuid), handle=handle, characteristics=told)


def _halves(uuid: str) -> list[int]:
    whole = UUID(uuid).int
    return [whole >> 64, whole & (1 << 64) - 1]


def _number(address: str) -> int:
    return int(address.replace(":", ""), 16)


def _text(number: int) -> str:
    return ":".join(f"{octet:02X}" for octet in number.to_bytes(6, "big"))
