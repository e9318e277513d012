#!/bin/sh
# Tries "make run" and "make stop" as they run without a terminal, beside
# whatever the user has running.
#
#   packaging/run_test.sh FOLDER     with the programs
set -eu
cd "$(dirname "$0")/.."
RUN_BIN=$1
RUN_RECORD=build/test/run
export RUN_BIN RUN_RECORD
out=build/test/run.log

fail() {
	echo "make run without a terminal: $*"
	cat "$out"
	packaging/run.sh stop || true
	exit 1
}

packaging/run.sh stop >/dev/null
packaging/run.sh </dev/null >"$out" 2>&1 || fail "it failed"
socket=$(sed -n 's/.*Its socket: //p' "$out")
[ -S "$socket" ] || fail "it does not show the socket"
grep -qE '(^|[^0-9])[0-9]{3} ?[0-9]{3}([^0-9]|$)' "$out" || fail "it shows no code"

# The vault is left open, and gives codes.
name=$("$RUN_BIN/tokenctl" --socket "$socket" --no-input --json account list |
	sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)
[ -n "$name" ] || fail "there is no account"
"$RUN_BIN/tokenctl" --socket "$socket" --no-input code "$name" >>"$out" 2>&1 || fail "there is no code"

# A backup that is written elsewhere is named when the vault goes.
elsewhere=$PWD/build/test/elsewhere.tokend
rm -f "$elsewhere"
"$RUN_BIN/tokenctl" --socket "$socket" --no-input backup create "$elsewhere" >>"$out" 2>&1 || fail "there is no backup"

# A second time takes up what runs.
packaging/run.sh </dev/null >"$out" 2>&1 || fail "the second time it failed"
grep -q 'runs already' "$out" || fail "the second time it did not see what runs"
[ -S "$socket" ] || fail "the second time it took the daemon away"

packaging/run.sh stop >"$out" 2>&1 || fail "stop failed"
grep -qF "  $elsewhere" "$out" || fail "stop does not name the backup that it leaves"
! grep -qF sample.tokend "$out" || fail "stop names a backup that it removes"
[ -f "$elsewhere" ] || fail "stop removed a backup elsewhere"
rm -f "$elsewhere"
[ ! -e "$(dirname "$socket")" ] || fail "stop left the throwaway state"
echo "make run without a terminal: fine"
