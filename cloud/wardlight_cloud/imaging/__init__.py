"""What a DICOM object is: header, frames, index row; and how it gets onto the index."""

__all__: list[str] = []
