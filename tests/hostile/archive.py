"""Zip archives and pickles of which every field can lie. The defaults are those of torch.save."""

import dataclasses
import struct
import zlib

BIG = 0xFFFFFFFF


@dataclasses.dataclass
class Entry:
    """A record. What is None is derived from the data; the local header repeats the central one."""

    name: bytes
    data: bytes = b""
    flags: int = 0x0800
    method: int = 0
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    offset: int | None = None
    central_extra: bytes = b""
    local_signature: bytes = b"PK\3\4"
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    absent: bool = False  # only in the central directory

    def __post_init__(self):
        self.crc = zlib.crc32(self.data) if self.crc is None else self.crc
        self.packed = len(self.data) if self.packed is None else self.packed
        self.size = len(self.data) if self.size is None else self.size

    def local(self):
        name = self.name if self.local_name is None else self.local_name
        flags = self.flags if self.local_flags is None else self.local_flags
        method = self.method if self.local_method is None else self.local_method
        return self.local_signature + struct.pack("<5H3I2H", 0, flags, method, 0, 0, self.crc & BIG,
                                                  self.packed & BIG, self.size & BIG, len(name), 0) + name

    def central(self):
        return b"PK\1\2" + struct.pack("<6H3I5H2I", 0, 0, self.flags, self.method, 0, 0, self.crc & BIG, self.packed & BIG,
                                       self.size & BIG, len(self.name), len(self.central_extra), 0, 0, 0, 0,
                                       self.offset & BIG) + self.name + self.central_extra


def end_record(entries, size, offset, disk_entries=None, comment=0):
    disk_entries = entries if disk_entries is None else disk_entries
    return b"PK\5\6" + struct.pack("<4H2IH", 0, 0, disk_entries, entries, size, offset, comment)


def zip64_end(entries, size, offset, record_size=44):
    return b"PK\6\6" + struct.pack("<QHHIIQQQQ", record_size, 0x031E, 45, 0, 0, entries, entries, size, offset)


def locator(offset, disks=1):
    return b"PK\6\7" + struct.pack("<IQI", 0, offset, disks)


def body(entries):
    """Local headers and data, then the central directory; and where it begins."""
    out = b""
    for entry in entries:
        if entry.offset is None:
            entry.offset = len(out)
        if not entry.absent:
            out += entry.local() + entry.data
    return out, b"".join(entry.central() for entry in entries)


def archive(members, **end):
    data, directory = body(members)
    values = {"entries": len(members), "size": len(directory), "offset": len(data), **end}
    return data + directory + end_record(**values)


def archive64(members, record_size=44, at=None, small=None, **end):
    """With a zip64 end record; AT is where the locator says it is, SMALL goes into the 32-bit record."""
    data, directory = body(members)
    values = {"entries": len(members), "size": len(directory), "offset": len(data)}
    large = {**values, **end}
    here = len(data) + len(directory)
    return (data + directory + zip64_end(record_size=record_size, **large) + locator(here if at is None else at)
            + end_record(**{**values, **(small or {})}))


def records(pickle, storages=None, version=b"3\n", byteorder=b"little", root=b"archive/"):
    """The records of a torch.save file."""
    out = [Entry(root + b"data.pkl", pickle)]
    if byteorder is not None:
        out.append(Entry(root + b"byteorder", byteorder))
    for key, data in ({"0": bytes(16)} if storages is None else storages).items():
        out.append(Entry(root + b"data/" + key.encode(), data))
    if version is not None:
        out.append(Entry(root + b"version", version))
    return out


def checkpoint(pickle, storages=None, **options):
    return archive(records(pickle, storages, **options))


# --- pickles: functions that return opcodes


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def value(python):
    """Opcodes for a Python value; bytes are opcodes already."""
    if isinstance(python, bytes):
        return python
    if python is None:
        return b"N"
    if isinstance(python, bool):
        return b"\x88" if python else b"\x89"
    if isinstance(python, int):
        if -2**31 <= python < 2**31:
            return b"J" + struct.pack("<i", python)
        raw = python.to_bytes(python.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw
    if isinstance(python, float):
        return b"G" + struct.pack(">d", python)
    if isinstance(python, str):
        raw = python.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw
    if isinstance(python, tuple):
        return b"(" + b"".join(map(value, python)) + b"t"
    if isinstance(python, list):
        return b"](" + b"".join(map(value, python)) + b"e"
    if isinstance(python, dict):
        return b"}(" + b"".join(value(k) + value(v) for k, v in python.items()) + b"u"
    raise TypeError(python)


def call(function, *arguments):
    return function + value(tuple(arguments)) + b"R"


def storage(key="0", count=4, kind="FloatStorage", tag="storage", location="cpu", more=()):
    return value((tag, name("torch", kind), key, location, count, *more)) + b"Q"


ORDERED_DICT = name("collections", "OrderedDict") + b")R"


def tensor(size=(2, 2), stride=(2, 1), offset=0, source=None, more=(), function="_rebuild_tensor_v2"):
    source = storage() if source is None else source
    return call(name("torch._utils", function), source, offset, size, stride, False, ORDERED_DICT, *more)


def program(opcodes, protocol=2):
    return b"\x80" + bytes([protocol]) + opcodes + b"."


def state_dict(**values):
    return program(value(values))


GOOD = state_dict(weight=tensor())
