"""Ways by which bytes reach the gateway: BLE, serial, LAN and replayed captures."""

__all__: list[str] = []
