"""Transfer syntaxes that both sides have to tell apart.

Source  DICOM PS3.5, A.5 (deflate), A.6 and A.7 (JPIP); PS3.6, annex A
"""

from typing import Final

DEFLATED: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)
"""The data set is deflated whole: all of it after the file meta information."""
