#!/usr/bin/env bash
. "$(dirname "$0")/../_lib/case.sh"
cp -r mine theirs
cd mine || exit 2
stage_of_two
cd ../theirs || exit 2
must rollcast lock
before=$(cat ../target/flags.json; find ../target/instances -type f | sort | xargs cat)
ask() {
  rollcast "$@" > said.log 2>&1; code=$?
  grep -q "mine/.rollcast/ledger.db" said.log || bad="${bad:+$bad; }'$*' (exit $code) does not say which ledger holds it: $(said said.log)"
  grep -qE "process [0-9]+ of" said.log || bad="${bad:+$bad; }'$*' does not say who drove it: $(said said.log)"
  grep -qiE "no rollout is under way" said.log && bad="${bad:+$bad; }'$*' says that no rollout is under way"
}
for words in "status" "plan" "history" "audit --at 2999-01-01" "pause" "promote" "abort" "rollback --auto-approve" \
  "apply --resume" "apply --once --auto-approve" "apply --auto-approve --no-forecast" "destroy --auto-approve" \
  "retry --reason again"; do
  # shellcheck disable=SC2086
  ask $words
  case $words in
    status | plan | history | audit*) ;;
    *) [ $code != 0 ] || bad="${bad:+$bad; }'$words' exits 0" ;;
  esac
done
after=$(cat ../target/flags.json; find ../target/instances -type f | sort | xargs cat)
[ "$before" = "$after" ] || bad="${bad:+$bad; }the target was changed"
cd ../mine || exit 2
rollcast abort > abort.log 2>&1; code=$?
[ $code = 4 ] || bad="${bad:+$bad; }the first clone can't roll back any more (exit $code): $(said abort.log)"
[ -z "${bad:-}" ] || fault "$bad"
right "every command says where to go: $(said ../theirs/said.log 300)"
