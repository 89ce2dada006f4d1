"""Images and procedure steps on the gateway's disk, encrypted, until the cloud has them."""

__all__: list[str] = []
