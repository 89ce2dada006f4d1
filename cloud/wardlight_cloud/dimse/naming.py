"""Files whose meta information names the object that their data set is.

A C-STORE request has the UIDs of the meta information, and receivers refuse a data set that says
otherwise. Programs that give objects new UIDs (to hide whose they are) at times change the data set
alone, and the index goes by the data set.

Source  PS3.7 9.1.1.1, PS3.10 7.1
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from wardlight_cloud.imaging.file_meta import read_meta
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.part10 import file_head

_PIECE: Final = 1 << 20


@contextmanager
def named(path: Path, ref: InstanceRef) -> Iterator[Path]:
    """The file, or a copy of it with the object's UIDs; HeaderError, OSError."""
    with path.open("rb") as file:
        meta = read_meta(file)
        if (meta.sop_class, meta.sop_instance) == (ref.sop_class, ref.sop_uid):
            yield path
            return
        with NamedTemporaryFile(prefix="wardlight-dimse-") as copy:
            copy.write(file_head(ref.sop_class, ref.sop_uid, meta.transfer_syntax))
            file.seek(meta.place)
            shutil.copyfileobj(file, copy, _PIECE)
            copy.flush()
            yield Path(copy.name)
