"""An emulated imaging department: studies of the demo's patients, sent to a gateway by C-STORE."""

__all__: list[str] = []
