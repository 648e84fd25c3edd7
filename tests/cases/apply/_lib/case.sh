# Sourced by each run.sh: a temporary copy of the case's folder, and three ways to end.
# exit 0: the product does the right thing; 1: it shows the fault; 2: the case itself could not run.
set -u
LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CASE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rollcast-case-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cp -r "$CASE/." "$WORK/"
cd "$WORK" || exit 2
export NO_COLOR=1 PYTHONPATH="$LIB${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
unset ROLLCAST_LEDGER_URL PULUMI_BACKEND_URL ROLLCAST_FAULTS ROLLCAST_SERVE_TOKEN

right() { echo "right: $*"; exit 0; }
fault() { echo "fault: $*"; exit 1; }
broken() { echo "could not run: $*"; exit 2; }
# said FILE: what a command said, on one short line.
said() { tr '\n' ' ' < "$1" | tr -s ' ' | cut -c1-${2:-300}; }
# must COMMAND…: a step that only prepares; where it fails the case could not run.
must() { "$@" > must.log 2>&1 || broken "'$*' exited $?: $(said must.log)"; }
# first_release: version 1 of everything serves everyone. declare N: the declaration names version N.
first_release() { must rollcast lock; must rollcast apply --auto-approve --no-forecast; }
declare_version() { sed -i "s/answer: {artifact: p@[0-9]*/answer: {artifact: p@$1/" "${2:-rollcast.yaml}"; }
# once FILE: the step that cron runs; its output goes to FILE, its exit code to $code.
once() { rollcast apply --once --auto-approve --no-forecast > "$1" 2>&1; code=$?; }
# stage_of_two: version 2 is at 50 %, and no telemetry has come yet.
stage_of_two() {
  first_release; declare_version 2; once begun.log
  [ $code = 5 ] || broken "the stage did not begin, exit $code: $(said begun.log)"
}
# share_of N: how many percent of everyone version N serves now, by the status.
share_of() {
  rollcast status --format json 2>/dev/null | python -c '
import json, sys
try: found = json.load(sys.stdin)
except ValueError: print("unknown"); raise SystemExit
names = {r for r, parts in found["releases"].items() if "p@" + sys.argv[1] in parts.values()}
print(int(sum(s["percent"] for s in found["serving"] if s["release"] in names)))' "$1"
}
