"""What decodes images, in processes of their own: ``python -m wardlight_cloud.dicomweb.making``.

Nothing here is imported by the API, which stays as small as it is.
"""

__all__: list[str] = []
