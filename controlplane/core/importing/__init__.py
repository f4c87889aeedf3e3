"""What others declared on a gateway, as a document of ours; and what of it could not be expressed."""

from controlplane.core.importing.document import Imported, import_objects
from controlplane.core.importing.notes import Note

__all__ = ["Imported", "Note", "import_objects"]
