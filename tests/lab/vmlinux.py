#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vmlinux.py VMLINUZ > VMLINUX: the kernel that is packed in a bzImage.

A machine without hardware acceleration takes a fifth of its boot to unpack it, each time anew; QEMU starts an unpacked one as well (PVH), though
not on UEFI. Where that is not possible - not packed as here, no PVH, no libarchive - it is what was given. Layout: Documentation/arch/x86/boot.rst.
"""
import ctypes
import struct
import sys

PVH_NOTE = struct.pack("<III4s", 4, 4, 18, b"Xen\0"), struct.pack("<III4s", 4, 8, 18, b"Xen\0")     # XEN_ELFNOTE_PHYS32_ENTRY


def payload(image):
    if image[0x202:0x206] != b"HdrS":
        return b""
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = ((image[0x1f1] or 4) + 1) * 512 + offset
    return image[begin:begin + length - 4]          # the last four bytes: its size unpacked


def unpack(data):
    """Whatever it is packed with. b"" when libarchive cannot."""
    try:
        lib = ctypes.CDLL("libarchive.so.13")
    except OSError:
        return b""
    lib.archive_read_new.restype, lib.archive_read_data.restype = ctypes.c_void_p, ctypes.c_ssize_t
    archive, entry = ctypes.c_void_p(lib.archive_read_new()), ctypes.c_void_p()
    lib.archive_read_support_filter_all(archive)
    lib.archive_read_support_format_raw(archive)
    out, buffer = [], ctypes.create_string_buffer(1 << 20)
    if lib.archive_read_open_memory(archive, data, ctypes.c_size_t(len(data))) == 0 and lib.archive_read_next_header(archive, ctypes.byref(entry)) == 0:
        n = lib.archive_read_data(archive, buffer, ctypes.c_size_t(len(buffer)))
        while n > 0:
            out.append(buffer.raw[:n])
            n = lib.archive_read_data(archive, buffer, ctypes.c_size_t(len(buffer)))
    lib.archive_read_free(archive)
    return b"".join(out)


def main():
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    kernel = unpack(payload(image))
    good = kernel[:4] == b"\x7fELF" and any(note in kernel for note in PVH_NOTE)
    sys.stdout.buffer.write(kernel if good else image)


if __name__ == "__main__":
    main()
