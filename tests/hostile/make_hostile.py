#!/usr/bin/env python3
"""Builds the hostile files of the checklist, checkpoint-formats.md section 7.2, one function an item.

Each function yields Case(variant, content, code, pattern): what `mlc load` has to answer. Code 0 marks
what is odd but legal: then the pattern has to be in a warning. `make_hostile.py FOLDER` writes them all,
the same bytes every time.
"""

import dataclasses
import json
import pathlib
import struct
import sys
import zlib
from collections.abc import Callable

from archive import (BIG, GOOD, ORDERED_DICT, Entry, archive, archive64, body, call, checkpoint, end_record, locator, name,
                     program, records, state_dict, storage, tensor, value, zip64_end)

CORRUPT, UNSUPPORTED, FINE = 3, 4, 0


@dataclasses.dataclass
class Case:
    variant: str
    content: bytes | Callable[[pathlib.Path], None]  # a function makes more than one file at the path
    code: int
    pattern: str
    arguments: tuple = ()


def pickled(variant, opcodes, code, pattern, storages=None):
    return Case(variant, checkpoint(opcodes, storages), code, pattern)


def weight(variant, opcodes, code, pattern, storages=None):
    return pickled(variant, state_dict(weight=opcodes), code, pattern, storages)


# --- zip


def item_01_end_record():
    good = checkpoint(GOOD)
    yield Case("absent", good[:-22], CORRUPT, "no end record: most likely a truncated download")
    yield Case("cut", good[:-1], CORRUPT, "no end record")
    other = archive(records(state_dict(other=tensor())))
    data, directory = body(records(GOOD))
    # Two candidates: the earlier one's comment covers the later one.
    first = end_record(4, len(directory), len(data), comment=22)
    yield Case("two", data + directory + first + end_record(4, len(directory), len(data)), FINE,
               "two zip end records at offset")
    yield Case("appended", good + other, CORRUPT, "no entry 0 of the zip central directory at offset 369")


def item_02_zip64():
    here = len(b"".join(body(records(GOOD))))
    yield Case("inside", archive64(records(GOOD), at=0), CORRUPT, "no zip64 end record at offset 0")
    yield Case("behind", archive64(records(GOOD), at=here + 40), CORRUPT, "zip64 locator at offset")
    yield Case("far", archive64(records(GOOD), at=2**63), CORRUPT, "zip64 locator at offset")
    yield Case("short", archive64(records(GOOD), record_size=43), CORRUPT, "impossible size of 43")
    yield Case("long", archive64(records(GOOD), record_size=2**63), CORRUPT, "impossible size")
    many = {"entries": 0xFFFF, "disk_entries": 0xFFFF}
    yield Case("many", archive64(records(GOOD), entries=2**40, small=many), CORRUPT, "1,099,511,627,776 entries")
    yield Case("more", archive64(records(GOOD), entries=100_000, small=many), CORRUPT, "100,000 entries do not fit")
    yield Case("disagree", archive64(records(GOOD), entries=3), CORRUPT, "zip64 end record disagree: 4 entries")
    yield Case("disk", archive(records(GOOD), disk_entries=3), CORRUPT, "4 entries, but 3 on this disk")


def item_03_directory():
    good = records(GOOD)
    data, directory = body(good)
    yield Case("into_end", archive(records(GOOD), size=len(directory) + 10), CORRUPT, "central directory .* reaches into the end record")
    yield Case("over_data", archive(records(GOOD), offset=len(data) - 20, size=len(directory) + 20), CORRUPT, "no entry 0 of the zip central directory at offset 350")
    yield Case("short", archive(records(GOOD), size=len(directory) - 1, offset=len(data)), CORRUPT, "central directory")
    yield Case("fewer", archive(records(GOOD), entries=3), CORRUPT, "goes on for")
    yield Case("elsewhere", archive(records(GOOD), offset=0), CORRUPT, "no entry 0 of the zip central directory at offset 0")


def item_04_names():
    def named(variant, raw, pattern):
        return Case(variant, archive([*records(GOOD), Entry(raw, b"x")]), CORRUPT, pattern)
    yield named("nul", b"archive/a\0b", "entry 4 .*name that")
    yield named("backslash", b"archive\\x", "entry 4 .*name that")
    yield named("absolute", b"/archive/x", "entry 4 .*name that")
    yield named("drive", b"c:/x", "entry 4 .*name that")
    yield named("up", b"archive/../../etc/passwd", "entry 4 .*name that")
    yield named("control", b"archive/\x1b[31m", "entry 4 .*name that")
    yield named("not_utf8", b"archive/\xff\xfe", "entry 4 .*name that")
    yield named("long", b"archive/" + b"x" * 5000, "entry 4 .*name that")
    yield named("empty", b"", "entry 4 .*name that")


def item_05_duplicates():
    yield Case("same", archive([*records(GOOD), Entry(b"archive/data.pkl", GOOD)]), CORRUPT, 'two records are called "archive/data.pkl"')
    yield Case("case", archive([*records(GOOD), Entry(b"archive/DATA.PKL", GOOD)]), CORRUPT, "differ only in case")


def item_06_root():
    yield Case("outside", archive([*records(GOOD), Entry(b"__MACOSX/x", b"x")]), CORRUPT, '"__MACOSX/x" .* lies outside the folder "archive"')
    yield Case("none", checkpoint(GOOD, root=b""), CORRUPT, '"data.pkl" lies in no folder')


def item_07_local_headers():
    def changed(variant, code, pattern, **fields):
        entries = records(GOOD)
        for field, new in fields.items():
            setattr(entries[0], field, new)
        return Case(variant, archive(entries), code, pattern)
    entries = records(GOOD)
    entries[1].local_signature = b"PK\0\0"
    yield Case("signature", archive(entries), CORRUPT, '"archive/byteorder" .* has no local header')
    yield changed("name", CORRUPT, '"archive/data.pkl" .* another name in its local header', local_name=b"archive/evil.pkl")
    yield changed("method", CORRUPT, '"archive/data.pkl" .* method 0 .* method 8', local_method=8)
    yield changed("encrypted", UNSUPPORTED, '"archive/data.pkl" is encrypted', flags=0x0801)
    yield changed("strong", UNSUPPORTED, '"archive/data.pkl" is strongly encrypted', flags=0x0840)
    yield changed("patch", UNSUPPORTED, '"archive/data.pkl" is a patch', flags=0x0820)
    yield changed("masked", UNSUPPORTED, '"archive/data.pkl" has a masked header', flags=0x2800)
    yield changed("local_flag", CORRUPT, '"archive/data.pkl" .* encrypted', local_flags=0x0801)


def item_08_overlap():
    entries = records(GOOD)
    first = entries[0]
    entries.append(Entry(b"archive/again", GOOD, offset=0, absent=True))
    yield Case("same_offset", archive(entries), CORRUPT, "reaches into")
    entries = records(GOOD)
    inner = 30 + len(first.name) + 4
    entries.append(Entry(b"archive/inner", b"x", offset=inner, absent=True))
    yield Case("inside", archive(entries), CORRUPT, "reaches into")


def item_09_sizes():
    def sized(variant, pattern, **fields):
        entries = records(GOOD)
        for field, new in fields.items():
            setattr(entries[2], field, new)
        return Case(variant, archive(entries), CORRUPT, pattern)
    yield sized("stored", '"archive/data/0".* two sizes differ', size=1 << 20)
    yield sized("nothing", '"archive/data/0".* two sizes differ', packed=0)
    yield sized("empty", '"archive/data/0".*(two sizes differ|stated to be empty)', size=0)


def deflated(path, content, **fields):
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeezer.compress(content) + squeezer.flush()
    return Entry(path, packed, method=8, **{"crc": zlib.crc32(content), "size": len(content), **fields})


def item_10_compression():
    entries = records(GOOD)
    entries[0].method = 12
    yield Case("bzip2", archive(entries), UNSUPPORTED, 'method 12')
    pickle = b"archive/data.pkl"

    def with_pickle(variant, entry):
        return Case(variant, archive([entry, *records(GOOD)[1:]]), CORRUPT, '"archive/data.pkl"')
    yield with_pickle("bomb", deflated(pickle, bytes(1 << 20), size=BIG - 1))
    yield Case("zeros", archive([deflated(pickle, bytes(40 << 20)), *records(GOOD)[1:]]), CORRUPT, "data.pkl.*at byte 0")
    yield with_pickle("too_short", deflated(pickle, GOOD, size=len(GOOD) + 1))
    yield with_pickle("too_long", deflated(pickle, GOOD, size=len(GOOD) - 1))
    junk = deflated(pickle, GOOD)
    junk.data += b"junk"
    junk.packed += 4
    yield with_pickle("junk", junk)
    yield with_pickle("garbage", Entry(pickle, b"\xff" * 100, method=8, size=1000))


def item_11_ranges():
    def moved(variant, pattern, **fields):
        entries = records(GOOD)
        for field, new in fields.items():
            setattr(entries[2], field, new)
        return Case(variant, archive(entries), CORRUPT, pattern)
    yield moved("past_end", '"archive/data/0"', packed=1 << 30, size=1 << 30)
    huge = struct.pack("<HHQQQ", 1, 24, 2**64 - 1, 2**64 - 1, 2**64 - 1)
    yield moved("overflow", '"archive/data/0"', packed=BIG, size=BIG, central_extra=huge)
    yield moved("no_zip64", "lacks its 64-bit size", packed=BIG, size=BIG)
    entries = records(GOOD)
    body(entries)
    entries[2].offset = BIG - 1
    yield Case("offset", archive(entries), CORRUPT, '"archive/data/0"')


def item_12_version():
    for raw, code, pattern in [(None, CORRUPT, "no `version` record"), (b"many", CORRUPT, '`version` record says "many"'),
                               (b"0", UNSUPPORTED, "version 0"), (b"99", UNSUPPORTED, "version 99"),
                               (b"", CORRUPT, "`version` record"), (b"9" * 40, CORRUPT, "`version` record")]:
        yield Case(f"version_{raw and raw.decode()[:3]}", checkpoint(GOOD, version=raw), code, pattern)
    yield Case("byteorder", checkpoint(GOOD, byteorder=b"middle"), CORRUPT, '`byteorder` record says "middle"')
    # torch.save writes what it is told, torch.load rarely looks: read, but not without a word.
    for variant, raw in [("three", b"48"), ("zero", b"0"), ("negative", b"-64"), ("text", b"many"), ("none", b""), ("huge", b"9" * 40)]:
        aligned = archive([*records(GOOD), Entry(b"archive/.storage_alignment", raw)])
        yield Case(f"alignment_{variant}", aligned, FINE, f'`.storage_alignment` record says "{raw.decode()}", which is not a power of two')
    aligned = archive([*records(GOOD), Entry(b"archive/.storage_alignment", b"64" * 100)])
    yield Case("alignment_long", aligned, CORRUPT, "storage_alignment")
    yield Case("long_byteorder", checkpoint(GOOD, byteorder=b"little" * 100), CORRUPT, "byteorder")


def item_13_torchscript_claim():
    # Read as data like everything else, so that nothing is gained by the claim.
    yield Case("claim", archive([*records(GOOD), Entry(b"archive/constants.pkl", b"\x80\x02).")]), FINE, "")


# --- pickle


def item_14_opcodes():
    yield pickled("unknown", program(b"\xff"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("forbidden", program(b"iposix\nsystem\n"), UNSUPPORTED, "data.pkl.*at byte 2")
    yield pickled("truncated", b"\x80\x02X\x05\0", CORRUPT, "data.pkl.*at byte 2")
    yield pickled("huge_text", program(b"X\xff\xff\xff\xff"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("huge_bytes8", program(b"\x8e" + b"\xff" * 7 + b"\x7f", 4), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("frame", program(b"\x95" + struct.pack("<Q", 1 << 40) + b"N", 4), CORRUPT, "data.pkl.*at byte 2")
    nested = b"\x95" + struct.pack("<Q", 10) + b"\x95" + struct.pack("<Q", 1) + b"N"
    yield pickled("nested_frame", program(nested, 4), CORRUPT, "data.pkl.*at byte")
    straddled = b"\x95" + struct.pack("<Q", 2) + b"X\x01\0\0\0a"
    yield pickled("straddled_frame", program(straddled, 4), CORRUPT, "data.pkl.*at byte")
    yield pickled("no_stop", b"\x80\x02}", CORRUPT, "data.pkl: .*byte 3 without STOP")
    yield pickled("empty", b"", CORRUPT, "data.pkl: .*byte 0 without STOP")
    yield pickled("protocol", b"\x80\x09N.", UNSUPPORTED, "data.pkl.*protocol 9")


def item_15_stack():
    yield pickled("underflow", program(b"a"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("no_mark", program(b"}Nu"), CORRUPT, "data.pkl.*at byte")
    yield pickled("stop_on_nothing", program(b""), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("open_mark", program(b"(" + value({"weight": tensor()})), CORRUPT, "data.pkl.*a MARK was never used")
    yield pickled("left_over", program(b"N" + value({"weight": tensor()})), FINE, "leaves 1 unused value")


def item_16_memo():
    # Legal, and no reason for a table of 4 billion entries.
    yield pickled("sparse", program(b"Nr\xff\xff\xff\xff" + b"0" + value({"weight": tensor()})), FINE, "")
    yield pickled("undefined", program(b"h\x07"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("undefined_long", program(b"j\xff\xff\xff\x7f"), CORRUPT, "data.pkl.*at byte 2")


def item_17_depth():
    # Depth is no problem for whoever does not recurse; PyTorch reads these too.
    for variant, nested in [("lists", b"]" * 100_000 + b"a" * 99_999), ("tuples", b")" + b"\x85" * 100_000),
                            ("dicts", b"}K\0" * 100_000 + b"N" + b"s" * 100_000)]:
        yield pickled(variant, program(nested), FINE, "")
        yield Case(variant + "_tree", checkpoint(program(nested)), FINE, "", ("--tree",))
    yield pickled("marks", program(b"(" * 1_000_000), CORRUPT, "data.pkl: .*at byte 1000002: a MARK was never used")


def item_18_cycles():
    yield pickled("list", program(b"]q\0h\0a"), FINE, "")
    knot = b"}q\0" + value("self") + b"h\0s" + value("weight") + tensor() + b"s"
    yield pickled("dict", program(knot), FINE, "")
    yield Case("tree", checkpoint(program(knot)), FINE, "", ("--tree",))


def item_19_laughs():
    bomb = b"(" + value("lol") + b"tq\0"
    for level in range(60):
        bomb += b"(" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"tq" + bytes([level + 1])
    yield pickled("tuples", program(value({"weight": tensor(), "laugh": bomb})), FINE, "")
    yield pickled("alone", program(bomb), FINE, "")
    yield Case("tree", checkpoint(program(bomb)), FINE, "", ("--tree",))


def item_20_keys():
    odd = b"}(" + value([]) + tensor() + b"u"
    yield pickled("list", program(odd), CORRUPT, "data.pkl.*SETITEMS at byte .*as the key of a dict")
    yield pickled("dict", program(b"(" + value({}) + tensor() + b"d"), CORRUPT, "data.pkl.*DICT at byte .*as the key of a dict")
    mixed = b"}(" + value(1) + value(2) + value(None) + value(3) + value((1, "a")) + value(4) + value("weight") + tensor() + b"u"
    yield pickled("mixed", program(mixed), FINE, "")


def item_21_items():
    yield pickled("odd", program(b"}(" + value("a") + b"u"), CORRUPT, "data.pkl.*at byte")
    yield pickled("setitem_on_list", program(b"]NNs"), CORRUPT, "data.pkl.*at byte")
    yield pickled("append_on_dict", program(b"}Na"), CORRUPT, "data.pkl.*at byte")
    # An object is inert: what is put into it is kept and shown, never done.
    yield pickled("setitem_on_tensor", program(tensor() + b"NNs"), FINE, "")
    yield pickled("additems_on_list", program(b"](N\x90", 4), CORRUPT, "data.pkl.*at byte")
    yield pickled("build_on_text", program(value("a") + b"Nb"), CORRUPT, "data.pkl.*at byte")
    yield pickled("call_of_text", program(value("a") + b")R"), CORRUPT, "data.pkl.*at byte")


def item_22_giants():
    yield pickled("long", program(b"\x8b\xff\xff\xff\x7f"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("long_cap", program(b"\x8b" + struct.pack("<i", 8192) + b"\x01" * 8192), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("long_negative", program(b"\x8b\xff\xff\xff\xff"), CORRUPT, "data.pkl.*at byte 2")
    for what in ("bytes", "bytearray"):
        inert = call(name("builtins", what), 2**31 - 1)
        yield pickled(what, program(value({"x": inert, "weight": tensor()})), FINE, "")
    codec = call(name("_codecs", "encode"), "x", "rot13")
    yield pickled("codec", program(value({"x": codec, "weight": tensor()})), FINE, "")


def item_23_text_opcodes():
    yield pickled("endless_line", program(b"I" + b"1" * 2_000_000), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("bad_int", program(b"I12x\n"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("bad_float", program(b"Fx\n"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("bad_string", program(b"S'abc\n"), CORRUPT, "data.pkl.*at byte 2")
    yield pickled("bad_get", program(b"g-1\n"), CORRUPT, "data.pkl.*at byte 2")


def item_24_arity():
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    yield weight("none", call(rebuild), CORRUPT, "data.pkl: a tensor is rebuilt from 0 arguments")
    yield weight("no_storage", call(rebuild, "0", 0, (2, 2), (2, 1), False, ORDERED_DICT), CORRUPT, "data.pkl: a tensor's storage or offset")
    yield weight("text_size", tensor(size="22"), CORRUPT, "data.pkl: a tensor's size")
    yield weight("text_in_size", tensor(size=("2", "2")), CORRUPT, "data.pkl: a tensor's size")
    yield weight("float_offset", tensor(offset=0.5), CORRUPT, "data.pkl: a tensor's storage or offset")
    yield weight("parameter", call(name("torch._utils", "_rebuild_parameter"), "x", True, ORDERED_DICT), FINE, "")
    yield weight("not_a_tuple", rebuild + b"]R", CORRUPT, "data.pkl: .*REDUCE at byte 49")


def item_25_trailing():
    yield pickled("bytes", GOOD + b"and more", FINE, "8 bytes behind its end")


# --- tensors


def item_26_storages():
    yield weight("four", tensor(source=value(("storage", name("torch", "FloatStorage"), "0", "cpu")) + b"Q"), CORRUPT, "data.pkl.*persistent|storage")
    yield weight("tag", tensor(source=storage(tag="module")), CORRUPT, "data.pkl: a tensor's storage")
    yield weight("key", tensor(source=storage(key=7)), CORRUPT, "data.pkl: a storage reference whose key")
    yield weight("type", tensor(source=storage(kind="EvilStorage")), UNSUPPORTED, "data.pkl.*EvilStorage")
    yield weight("text", tensor(source=b"Pstorage\n"), UNSUPPORTED, "data.pkl.*at byte")
    yield weight("missing", tensor(), CORRUPT, 'no record "data/0"', storages={})
    yield weight("path", tensor(source=storage(key="../version")), CORRUPT, "data/../version")


def item_27_counts():
    for variant, count in [("negative", -1), ("overflow", 2**62), ("huge", 2**70), ("short", 3), ("long", 5)]:
        yield weight(variant, tensor(source=storage(count=count)), CORRUPT, 'data.pkl.*storage "0"|data.pkl.*storage reference whose size')


def item_28_twice():
    pair = state_dict(a=tensor(), b=tensor(source=storage(kind="IntStorage")))
    yield pickled("type", pair, CORRUPT, 'storage "0" is described twice')
    pair = state_dict(a=tensor(), b=tensor(source=storage(count=2)))
    yield pickled("count", pair, CORRUPT, 'storage "0" is described twice')


def item_29_shapes():
    yield weight("ranks_differ", tensor(size=(2, 2), stride=(1,)), CORRUPT, "data.pkl.*stride")
    yield weight("rank_65", tensor(size=(1,) * 65, stride=(1,) * 65), CORRUPT, "data.pkl.*65")
    yield weight("size", tensor(size=(-2, 2)), CORRUPT, "data.pkl.*-2")
    yield weight("stride", tensor(stride=(-2, 1)), CORRUPT, "data.pkl.*-2")
    yield weight("offset", tensor(offset=-1), CORRUPT, "data.pkl.*-1")


def item_30_extents():
    yield weight("offset", tensor(offset=1), CORRUPT, "data.pkl.*4")
    yield weight("stride", tensor(stride=(3, 1)), CORRUPT, "data.pkl.*4")
    yield weight("wraps", tensor(size=(2, 2), stride=(2**62, 2**62)), CORRUPT, 'data.pkl: storage "0": shape .* reaches beyond')
    yield weight("wraps_twice", tensor(size=(5,), stride=(2**62,)), CORRUPT, 'data.pkl: storage "0": shape .* reaches beyond')
    yield weight("too_big", tensor(size=(2**63, 1)), CORRUPT, "data.pkl: a tensor's size")


def item_31_nothing():
    yield weight("offset", tensor(size=(0, 3), stride=(3, 1), offset=99), FINE, "")


def item_32_expanded():
    giant = tensor(size=(2**40,), stride=(0,))
    yield weight("listed", giant, FINE, "")
    yield weight("overflow", tensor(size=(2**40, 2**40), stride=(0, 0)), CORRUPT, 'data.pkl: storage "0": .*more elements than 64 bits')


def sparse(layout, *parts, size=(3, 3)):
    made = call(name("torch.serialization", "_get_layout"), f"torch.sparse_{layout}")
    rebuild = call(name("torch._utils", "_rebuild_sparse_tensor"), made, (*parts, size))
    return {"opcodes": rebuild, "storages": {"0": bytes(16), "1": bytes(32)}}


def longs(*size):
    """A tensor of int64 in storage 1, which has room for four."""
    stride = tuple(1 if i + 1 == len(size) else size[-1] for i in range(len(size)))
    return tensor(source=storage(key="1", kind="LongStorage"), size=size, stride=stride)


def floats(*size):
    stride = tuple(1 if i + 1 == len(size) else size[-1] for i in range(len(size)))
    return tensor(size=size, stride=stride)


def item_33_sparse():
    layout = name("torch._utils", "_rebuild_sparse_tensor")
    two = {"0": bytes(16), "1": bytes(32)}

    def case(variant, made, pattern, code=CORRUPT):
        return weight(variant, made["opcodes"], code, pattern, storages=made["storages"])
    yield weight("no_arguments", call(layout), CORRUPT, "data.pkl: a tensor is rebuilt from 0 arguments", storages=two)
    yield case("good_coo", sparse("coo", longs(2, 2), floats(2)), "", FINE)
    yield case("good_csr", sparse("csr", longs(4), longs(2), floats(2)), "", FINE)
    yield case("good_bsr", sparse("bsr", longs(2), longs(1), tensor(size=(1, 2, 2), stride=(4, 2, 1)), size=(2, 2)), "", FINE)
    # Indices out of range are bytes: only verbs that read them can see it.
    far = {"0": bytes(16), "1": b"\xff" * 32}
    yield weight("far_indices", sparse("coo", longs(2, 2), floats(2))["opcodes"], FINE, "", storages=far)
    yield case("coo_count", sparse("coo", longs(2, 2), floats(3)), "data.pkl.*sparse tensor.*2 indices for 3 values")
    yield case("coo_dimensions", sparse("coo", longs(2, 2), floats(2), size=(3, 3, 3)), "data.pkl.*2 dimensions and values of shape")
    yield case("coo_dense", sparse("coo", longs(1, 2), floats(2, 2)), "data.pkl.*1 dimensions and values of shape")
    yield case("coo_indices", sparse("coo", longs(4), floats(4)), "data.pkl.*indices of shape")
    yield case("csr_count", sparse("csr", longs(4), longs(2), floats(3)), "data.pkl.*sparse tensor.*2 indices for 3 values")
    yield case("csr_rows", sparse("csr", longs(3), longs(2), floats(2)), "data.pkl.*3 compressed indices")
    yield case("csc_columns", sparse("csc", longs(4), longs(2), floats(2), size=(3, 2)), "data.pkl.*4 compressed indices")
    yield case("bsr_blocks", sparse("bsr", longs(2), longs(1), tensor(size=(1, 2, 2), stride=(4, 2, 1))), "data.pkl.*blocks of 2")
    yield case("layout", sparse("evil", longs(4), longs(2), floats(2)), 'data.pkl.*layout "sparse_evil"')
    yield case("no_tensor", sparse("coo", (1, 2), floats(2)), "data.pkl.*sparse indices")


def item_34_quantized():
    rebuild = name("torch._utils", "_rebuild_qtensor")
    storages = {"0": bytes(4), "1": bytes(16), "2": bytes(32)}

    def case(variant, how, pattern, code=CORRUPT, kind="QInt8Storage"):
        made = call(rebuild, storage(kind=kind), 0, (2, 2), (2, 1), how, False, ORDERED_DICT)
        return weight(variant, made, code, pattern, storages={**storages, "0": bytes(4 if kind == "QInt8Storage" else 16)})

    def channels(scales, zeros, axis):
        doubles = tensor(source=storage(key="1", kind="DoubleStorage", count=2), size=(scales,), stride=(1,))
        points = tensor(source=storage(key="2", kind="LongStorage"), size=(zeros,), stride=(1,))
        return name("torch", "per_channel_affine"), doubles, points, axis
    affine = name("torch", "per_tensor_affine")
    yield case("good", (affine, 0.5, 0), "", FINE)
    yield case("good_channels", channels(2, 2, 1), "", FINE)
    yield case("axis", channels(2, 2, 9), "data.pkl.*quantized along dimension 9")
    yield case("negative_axis", channels(2, 2, -1), "data.pkl.*quantized along dimension -1")
    yield case("scales", channels(1, 2, 0), "data.pkl.*1 scales and 2 zero points for 2 channels")
    yield case("zero_points", channels(2, 3, 0), "data.pkl.*2 scales and 3 zero points for 2 channels")
    yield case("text_scale", (affine, "1", 0), "data.pkl.*quantization")
    yield case("no_scheme", (1, 0.5, 0), "data.pkl.*quantization")
    yield case("short", (affine,), "data.pkl.*quantization")
    yield case("plain_storage", (affine, 0.5, 0), "data.pkl.*quantized tensor on a storage of float32", kind="FloatStorage")


def item_35_extents_of_bytes():
    v3 = call(name("torch._utils", "_rebuild_tensor_v3"), storage(kind="UntypedStorage", count=16).replace(b"ctorch\n", b"ctorch.storage\n"),
              0, (3, 2), (2, 1), False, ORDERED_DICT, name("torch", "float32"))
    yield weight("v3", v3, CORRUPT, 'data.pkl: storage "0": shape .3, 2. .*the 4 elements')
    odd = call(name("torch._utils", "_rebuild_tensor_v3"), storage(kind="UntypedStorage", count=16).replace(b"ctorch\n", b"ctorch.storage\n"),
               0, (2, 2), (2, 1), False, ORDERED_DICT, name("torch", "float3"))
    yield weight("dtype", odd, CORRUPT, "data.pkl.*dtype")


def item_36_metadata():
    yield weight("unknown", tensor(more=(value({"evil": True}),)), CORRUPT, 'data.pkl.*unknown metadata "evil"')
    yield weight("not_bool", tensor(more=(value({"conj": 7}),)), CORRUPT, "data.pkl: a tensor's metadata")


# --- other files


def safetensors(header, data=bytes(16), length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def item_37_safetensors():
    def entry(dtype="F32", shape=(4,), begin=0, end=16):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}

    def case(variant, header, pattern, code=CORRUPT, **options):
        return Case(variant, safetensors(header, **options), code, pattern)
    yield case("length", {"w": entry()}, "claims 9223372036854775808 bytes", length=2**63)
    yield case("longer", {"w": entry()}, "a zero byte after the end", length=70)
    yield case("cap", {"w": entry()}, "claims 200000000 bytes", length=200_000_000)
    yield case("json", b'{"w":{"dtype":"F32",}}', "offset|header")
    yield case("utf8", b'{"\xff":1}', "UTF-8|header")
    yield case("hole", {"w": entry(begin=4, end=20)}, '"w"', data=bytes(20))
    yield case("overlap", {"a": entry(), "b": entry(begin=8, end=24)}, '"[ab]"', data=bytes(24))
    yield case("backwards", {"w": entry(begin=16, end=0)}, '"w"')
    yield case("shape", {"w": entry(shape=(5,))}, '"w"')
    yield case("product", {"w": entry(shape=(2**40, 2**40))}, '"w"')
    yield case("negative", {"w": entry(shape=(-4,))}, 'tensor "w": header: JSON at byte 33')
    yield case("trailing", {"w": entry()}, "tensors end at 16, the data at 17", data=bytes(17))
    yield case("truncated", {"w": entry()}, "w|bytes|truncated", data=bytes(15))
    yield case("dtype", {"w": entry(dtype="F31")}, "F31", code=UNSUPPORTED)
    yield case("twice", b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}', '"w".*twice|duplicate|two')
    yield case("metadata", {"__metadata__": {"a": 1}, "w": entry()}, "JSON at byte 23: expected a text")
    yield case("deep", b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "offset|nest|deep|header|w")
    yield case("float", b'{"w":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}}', 'tensor "w": header: JSON at byte 30')
    yield case("exponent", b'{"w":{"dtype":"F32","shape":[4e0],"data_offsets":[0,16]}}', 'tensor "w": header: JSON at byte 30')
    yield case("big_number", b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999999999999999]}}', 'tensor "w": header: JSON at byte 68')
    yield case("list", b'["w"]', "has 29 bytes only, too few")


def index(path, shards, files=None):
    path.write_text(json.dumps({"metadata": {"total_size": 16}, "weight_map": shards}))
    one = safetensors({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
    for file in files if files is not None else ["a.safetensors"]:
        (path.parent / file).write_bytes(one)


def item_38_paths():
    for variant, shard in [("up", "../a.safetensors"), ("absolute", "/etc/passwd"), ("below", "x/a.safetensors"),
                           ("dot", ".."), ("empty", ""), ("backslash", "..\\a.safetensors")]:
        yield Case(variant, lambda path, shard=shard: index(path, {"w": shard}), CORRUPT, '"w"|shard|name')
    yield Case("missing", lambda path: index(path, {"w": "b.safetensors"}), CORRUPT, "b.safetensors")
    yield Case("key_missing", lambda path: index(path, {"w": "a.safetensors", "v": "a.safetensors"}), CORRUPT, 'shard "a.safetensors": it has no key "v"')
    yield Case("itself", lambda path: index(path, {"w": path.name}), CORRUPT, 'shard "file.pt": it is JSON')

    def linked(path):
        index(path, {"w": "a.safetensors"}, files=[])
        (path.parent / "a.safetensors").symlink_to("/dev/zero")
    yield Case("device", linked, CORRUPT, "a.safetensors|regular")

    def outside(path):
        index(path, {"w": "a.safetensors"}, files=[])
        (path.parent / "a.safetensors").symlink_to(pathlib.Path(__file__).resolve())
    yield Case("link", outside, CORRUPT, '"a.safetensors" is a link to a file outside the folder')

    def dcp(path):
        path.mkdir()
        (path / ".metadata").write_bytes(program(value("no metadata")))
    yield Case("dcp", dcp, CORRUPT, "state_dict_metadata or storage_data is missing")


    for case in dcp_cases():
        yield case


def made(module, kind, **fields):
    """A pickled dataclass."""
    return name(module, kind) + b")\x81" + value(fields) + b"b"


def dcp_part(count=4):
    """What a .distcp holds for each chunk: a torch.save file with a tensor."""
    return checkpoint(program(tensor(size=(count,), stride=(1,), source=storage(count=count))), {"0": bytes(4 * count)})


def dcp_folder(path, size=(8,), chunks=(((0,), (4,)), ((4,), (4,))), change=lambda places: None, file="__0_0.distcp"):
    """A tensor of two chunks in one file, as long as CHANGE leaves the places as they are."""
    module = "torch.distributed.checkpoint.metadata"
    path.mkdir()
    part = dcp_part()
    places = [{"relative_path": file, "offset": i * len(part), "length": len(part)} for i in range(2)]
    change(places)
    if "/" not in file:
        (path / file).write_bytes(part * 2)
    properties = name("torch.distributed.checkpoint.metadata", "TensorProperties") + b")\x81" + value(
        (name("torch", "float32"), 0, False, 0, False)) + b"b"
    tiles = [made(module, "ChunkStorageMetadata", offsets=offsets, sizes=sizes) for offsets, sizes in chunks]
    described = made(module, "TensorStorageMetadata", properties=properties, size=size, chunks=tiles)
    indexes = [made(module, "MetadataIndex", fqn="w", offset=offsets, index=i) for i, (offsets, _) in enumerate(chunks)]
    stored = [made("torch.distributed.checkpoint.filesystem", "_StorageInfo", **place) for place in places]
    opcodes = made(module, "Metadata", state_dict_metadata={"w": described}, planner_data=None,
                   storage_data=dict(zip(indexes, stored)))
    (path / ".metadata").write_bytes(program(opcodes))


def dcp_cases():
    def folder(variant, code, pattern, **options):
        return Case(f"dcp_{variant}", lambda path: dcp_folder(path, **options), code, pattern)

    def moved(i, **fields):
        return lambda places: places[i].update(fields)

    yield folder("good", FINE, "")
    size = len(dcp_part())
    for variant, change in [("long", moved(1, length=size + 1)), ("far", moved(1, offset=2**62)), ("behind", moved(1, offset=2 * size + 1)),
                            ("wrapped", moved(0, offset=2**63 - 1, length=2**63 - 1))]:
        yield folder(f"window_{variant}", CORRUPT, 'item "w": .* bytes at .* reach beyond the end of "__0_0.distcp"', change=change)
    yield folder("window_negative", CORRUPT, 'item "w": its place in storage_data', change=moved(0, offset=-1))
    yield folder("window_text", CORRUPT, 'item "w": its place in storage_data', change=moved(0, length="all"))
    yield folder("window_shifted", CORRUPT, 'item "w"', change=moved(1, offset=size + 7, length=size - 7))
    yield folder("window_empty", CORRUPT, 'item "w"', change=moved(1, length=0))
    yield folder("overlap", CORRUPT, 'items "w" and "w" overlap', change=moved(1, offset=size - 1))
    yield folder("same_place", CORRUPT, 'items "w" and "w" overlap', change=moved(1, offset=0))
    yield folder("chunks_overlap", CORRUPT, 'item "w": .*overlap', chunks=(((0,), (4,)), ((3,), (4,))))
    yield folder("chunks_gap", CORRUPT, 'item "w"', chunks=(((0,), (3,)), ((4,), (4,))))
    yield folder("chunks_outside", CORRUPT, 'item "w"', chunks=(((0,), (4,)), ((8,), (4,))))
    yield folder("chunks_overflow", CORRUPT, 'item "w"', size=(2**40, 2**40), chunks=(((0, 0), (2**40, 2**40)), ((2**40, 0), (4, 4))))
    yield folder("chunks_twice", CORRUPT, 'item "w": storage_data has it twice', chunks=(((0,), (4,)), ((0,), (4,))))
    for variant, file in [("up", "../file.distcp"), ("absolute", "/etc/passwd"), ("below", "x/file.distcp")]:
        yield folder(f"path_{variant}", CORRUPT, 'item "w": .*is not the name of a file in the folder', file=file)

    def linked(path):
        dcp_folder(path)
        (path / "__0_0.distcp").rename(path.parent / "outside.distcp")
        (path / "__0_0.distcp").symlink_to("../outside.distcp")
    yield Case("dcp_link", linked, CORRUPT, '"__0_0.distcp" is a link to a file outside the folder')


def item_39_many_shards():
    def many(path):
        index(path, {f"w{i}": f"{i}.safetensors" for i in range(200_000)}, files=[])
    yield Case("missing", many, CORRUPT, "more than 10,000 files")


def item_40_no_regular_files():
    import os  # pylint: disable=import-outside-toplevel
    yield Case("fifo", os.mkfifo, CORRUPT, "regular file|pipe")
    yield Case("device", lambda path: path.symlink_to("/dev/zero"), CORRUPT, "regular file|device")
    yield Case("terminal", lambda path: path.symlink_to("/dev/null"), CORRUPT, "regular file|device")
    yield Case("folder", pathlib.Path.mkdir, CORRUPT, "folder")
    yield Case("loop", lambda path: path.symlink_to(path.name), CORRUPT, "symbolic links")
    yield Case("dangling", lambda path: path.symlink_to("nowhere"), CORRUPT, "No such file|not found|does not exist")
    yield Case("empty", b"", CORRUPT, "is empty")
    yield Case("zeros", bytes(1 << 20), CORRUPT, "zeros")
    yield Case("html", b"\n<!DOCTYPE html><html><body>Sign in</body></html>", CORRUPT, "web page")
    yield Case("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", CORRUPT, "Git LFS pointer")
    yield Case("gzip", b"\x1f\x8b" + bytes(100), UNSUPPORTED, "gzip")
    model = b"\x08\x08\x12\x07pytorch:\x02\x0a\x00B\x02\x10\x11"  # IR version, producer, graph with a node, opset
    yield Case("onnx-cut", model[:13], CORRUPT, "byte 11: a field of 2 bytes, where 0 are left")
    yield Case("text", b"hello world\n" * 10, CORRUPT, "is text, not a checkpoint")


ITEMS = {function.__name__: function for key, function in sorted(globals().items()) if key.startswith("item_")}


def all_cases():
    """(name, case) of every hostile file, in order."""
    return [(f"{item[5:]}-{case.variant}", case) for item, function in ITEMS.items() for case in function()]


def build(case, path):
    """Makes the file, or the folder, at PATH."""
    if callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content)


if __name__ == "__main__":
    FOLDER = pathlib.Path(sys.argv[1])
    for label, one in all_cases():
        (FOLDER / label).mkdir(parents=True)
        build(one, FOLDER / label / "file.pt")
