"""Edits of .pt2 files."""

import json
import zipfile


def rewrite(path, change, record="models/model.json"):
    """Lets CHANGE edit the JSON of the program, or a text become it."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            if name.endswith(record):
                document = json.loads(content)
                changed = change(document)
                content = changed if isinstance(changed, (bytes, str)) else json.dumps(document)
            archive.writestr(name, content)
