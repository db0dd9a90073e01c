"""The newest pre-release of a package that is newer than what is installed here.

``prerelease.py NAME`` prints its version, or nothing if there is none. It asks pip, and
installs nothing.
"""

import json
import subprocess
import sys

from packaging.version import Version

command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
command += ["--upgrade", "--pre", "--report", "-", sys.argv[1]]
report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
for found in report["install"]:
    if Version(found["metadata"]["version"]).is_prerelease:
        print(found["metadata"]["version"])
