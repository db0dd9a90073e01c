"""Checks a wheel: ``check_wheel.py FILE``. It has the types, and no tests."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
if "skmcdropout/py.typed" not in names:
    raise SystemExit(f"skmcdropout/py.typed is missing among {names}")
unwanted = [name for name in names if "tests" in name or "bench" in name]
if unwanted:
    raise SystemExit(f"does not belong into a wheel: {unwanted}")
print(f"{len(names)} files, as they should be")
