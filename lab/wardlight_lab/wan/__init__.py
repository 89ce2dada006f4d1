"""Images and vital signs on one narrow link that is cut every minute: the proof and its link."""

__all__: list[str] = []
