"""What a device is told to do: POSIX sh, constant; whatever varies comes as "$1", "$2", and is never part of a script.

PROBE and RUN answer after a line `tfday7`: a login shell may greet before it.
"""

from __future__ import annotations

BEGIN = "tfday7"
TOOLS = ("df", "find", "mkdir", "mv", "rm", "rmdir", "tar", "timeout", "tr", "uname")
STAGING = ".tfday7-"
STAGING_DIGITS = 16

# $1 target, $2 python, $3 seconds, $4 what that Python is asked; says what the device is and what lies there.
PROBE = f"""
LC_ALL=C; export LC_ALL
echo {BEGIN}
for tool in {" ".join(TOOLS)}; do command -v "$tool" >/dev/null || echo "missing=$tool"; done
echo "machine=$(uname -m)"
base=$1
while :; do
  base=${{base%/*}}
  if [ -z "$base" ]; then base=/; fi
  if [ -e "$base" ] || [ "$base" = / ] || [ "$base" = . ]; then break; fi
done
printf "base=%s\\n" "$base"
if [ -d "$base" ] && [ -w "$base" ] && [ -x "$base" ]; then echo "writable=yes"; fi
df -Pk "$base" | while read -r line; do printf "df=%s\\n" "$line"; done
if [ -d "$1" ]; then
  echo "target=folder"
  for entry in "$1"/* "$1"/.[a-zA-Z0-9_-]* "$1"/..?*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then printf "entry=%s\\n" "${{entry##*/}}"; fi
  done
  if [ -f "$1/bundle.json" ]; then printf "bundle=%s\\n" "$(tr -d "[:cntrl:]" < "$1/bundle.json")"; fi
elif [ -e "$1" ] || [ -L "$1" ]; then
  echo "target=other"
fi
if command -v "$2" >/dev/null; then
  timeout "$3" "$2" -c "$4"
  echo "exit=$?"
else
  echo "exit=none"
fi
"""

# Python, for PROBE: tells of each import before and after, as one that is made for another processor ends it.
ASK = """
import os, struct, sys, sysconfig
def tell(key, *words):
    sys.stdout.write(key + "=" + " ".join(str(word) for word in words) + chr(10))
    sys.stdout.flush()
tell("version", *sys.version_info[:3])
tell("executable", sys.executable)
tell("bits", 8 * struct.calcsize("P"))
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
tell("managed", int(os.path.exists(marker) and sys.prefix == getattr(sys, "base_prefix", sys.prefix)))
for name in ("numpy", "ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow"):
    tell("trying", name)
    try:
        __import__(name)
        tell("imported", name)
        if name != "numpy":
            break
    except Exception as error:
        tell("failed", name, " ".join(str(error).split())[:300])
"""

# $1 staging, $2 its parent; unpacks what comes on standard input. What a killed deployment left a day ago goes.
SEND = f"""
set -eu
LC_ALL=C; export LC_ALL
umask 022
mkdir -p "$2"
find "$2" -maxdepth 1 -name "{STAGING}{"?" * STAGING_DIGITS}" -mmin +1440 -exec rm -rf "{{}}" ";"
staging=$1
clean() {{ rm -rf "$staging"; }}
mkdir -m 700 "$staging"
trap clean EXIT
trap "exit 1" HUP INT TERM PIPE
mkdir "$staging/new"
tar -xof - -C "$staging/new"
trap - EXIT
"""

# $1 seconds, then the words of a command. Not `exec`: a signal that ends it is to become an exit code.
RUN = f"""
LC_ALL=C; export LC_ALL
echo {BEGIN}
seconds=$1
shift
timeout "$seconds" "$@"
exit $?
"""

# $1 staging, $2 target: the new folder takes the place of the old one, which comes back if that fails.
INSTALL = """
LC_ALL=C; export LC_ALL
trap "" HUP INT TERM PIPE
if [ -e "$2" ] || [ -L "$2" ]; then mv "$2" "$1/old" || exit 1; fi
if mv "$1/new" "$2"; then rm -rf "$1"; exit 0; fi
if [ -e "$1/old" ] || [ -L "$1/old" ]; then mv "$1/old" "$2"; fi
exit 1
"""

# $1 staging, $2 its parent, $3 what was there before, $4 target: removes the first, and the folders that were made for
# it. Where moving into place broke off halfway, what was there comes back.
CLEAN = """
if [ -e "$1/old" ] && [ ! -e "$4" ]; then mv "$1/old" "$4" || exit 1; fi
rm -rf "$1"
folder=$2
while :; do
  if [ "$folder" = "$3" ]; then break; fi
  rmdir "$folder" 2>/dev/null || break
  folder=${folder%/*}
  if [ -z "$folder" ]; then folder=/; fi
done
exit 0
"""
