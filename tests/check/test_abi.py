"""The plug-in ABI only grows. What a plug-in is compiled with (where each member of a struct stands, what each constant is) is
written down in abi_1.txt, as of a machine with pointers of 8 bytes. A line there may get further members, at or behind the size
that it had (what stands in the padding of an older plug-in is anything), and there may be further lines. Nothing else may
change without another ERRAND_ABI. For the structs that do not begin with their size, not even that."""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from support.errand import ROOT

WRITTEN = Path(__file__).with_name("abi_1.txt")
HEADERS = ROOT / "include" / "errand"
FIXED = {"errand_header", "errand_response", "errand_setting", "errand_statement"}


def texts():
    """The headers without comments."""
    return [re.sub(r"(?s)/\*.*?\*/", "", path.read_text()) for path in sorted(HEADERS.iterdir())]


def member_names(body):
    for declaration in body.split(";"):
        function = re.search(r"\(\*(\w+)\)\(", declaration)
        if function:
            yield function.group(1)
        elif declaration.strip():
            yield from (re.search(r"(\w+)\s*$", part).group(1) for part in declaration.split(","))


def structs():
    found = [match for text in texts() for match in re.finditer(r"(?s)struct (errand_\w+) \{(.*?)\n\};", text)]
    return {match.group(1): list(member_names(match.group(2))) for match in found}


def constants():
    bodies = [match.group(1) for text in texts() for match in re.finditer(r"(?s)enum (?:\w+ )?\{(.*?)\}", text)]
    return [name for body in bodies for name in re.findall(r"ERRAND_\w+", body)]


def described(directory):
    """The headers in the form of abi_1.txt, as the compiler has them."""
    lines = []
    for name, members in structs().items():
        offsets = "".join(f' printf(" {member}=%zu", offsetof(struct {name}, {member}));' for member in members)
        lines.append(f'printf("struct {name} %zu:", sizeof(struct {name}));{offsets} puts("");')
    lines += [f'printf("{name} %d\\n", (int){name});' for name in constants()]
    source, program = directory / "abi.c", directory / "abi"
    source.write_text("#include <errand/errand.h>\n#include <stdio.h>\nint main(void)\n{\n" + "\n".join(lines) + "\n}\n")
    subprocess.run(["cc", f"-I{ROOT}/include", source, "-o", program], check=True)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(struct.calcsize("P") != 8, reason="abi_1.txt is of a machine with pointers of 8 bytes")
def test_as_written_down(tmp_path):
    now, written = described(tmp_path), WRITTEN.read_text().splitlines()
    assert sorted(now) == sorted(written), "put what has grown into abi_1.txt; anything else breaks plug-ins that are built"


def test_structs_begin_with_their_size():
    found = structs()
    assert {name for name, members in found.items() if members[0] != "size"} == FIXED | {"errand_module"}
    assert found["errand_module"][:2] == ["abi", "size"]
