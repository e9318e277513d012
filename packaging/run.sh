#!/bin/sh
# Starts tokend for this user on a throwaway state folder, and shows the way in.
#
#   packaging/run.sh          start, or take up what runs already
#   packaging/run.sh stop     end it and remove the throwaway state
#   packaging/run.sh clean    remove what was built
#
# A quickstart that was ended early is gone on with the next time.
#
# What runs is recorded in build/run. RUN_RECORD and RUN_BIN name other folders
# for the record and for the programs.
set -eu
cd "$(dirname "$0")/.."
record=${RUN_RECORD:-build/run}
bin=${RUN_BIN:-bin}

# running: does the daemon that build/run names run still?
running() {
	[ -s "$record/pid" ] && [ -s "$record/folder" ] || return 1
	pid=$(cat "$record/pid")
	folder=$(cat "$record/folder")
	socket=$folder/tokend.sock
	# A number can have been given to another process since.
	kill -0 "$pid" 2>/dev/null && arguments | grep -qF -- "$folder"
}

# arguments of $pid; a small system has no ps, a Mac has no /proc.
arguments() {
	if [ -r "/proc/$pid/cmdline" ]; then
		tr '\0' ' ' <"/proc/$pid/cmdline"
	else
		ps -o args= -p "$pid"
	fi
}

# answers: does a daemon answer at the socket? 21 is tokenctl's "unreachable".
answers() {
	code=0
	"$bin/tokenctl" --socket "$socket" --no-input status >/dev/null 2>&1 || code=$?
	[ "$code" -ne 21 ]
}

# remove deletes the throwaway state; it takes nothing but what start made.
remove() {
	case $(cat "$record/folder" 2>/dev/null) in
	*/tokend-run.??????)
		folder=$(cat "$record/folder")
		[ -d "$folder" ] && rm -rf "$folder" && echo "Removed the throwaway vault in $folder."
		;;
	esac
	rm -rf "$record"
}

# outside: the backups of the throwaway vault that were written elsewhere.
outside() {
	"$bin/tokenctl" --socket "$socket" --no-input --json backup list 2>/dev/null |
		grep -o '"path": *"[^"]*"' | sed 's/^"path": *"//; s/"$//' | sort -u |
		while IFS= read -r path; do
			case $path in
			"$folder"/*) ;;
			*) [ ! -f "$path" ] || printf '  %s\n' "$path" ;;
			esac
		done
}

stop() {
	left=
	if running; then
		left=$(outside || true)
		# In a pipe: name, kind, enrolled or not.
		card=$("$bin/tokenctl" --socket "$socket" --no-input token list 2>/dev/null | cut -f 2,3 | grep piv | grep -v not || true)
		kill "$pid"
		i=0
		while kill -0 "$pid" 2>/dev/null && [ $i -lt 50 ]; do
			sleep 0.1
			i=$((i + 1))
		done
		if kill -0 "$pid" 2>/dev/null; then
			kill -KILL "$pid"
			echo "tokend (process $pid) did not end by itself and was killed."
		else
			echo "Stopped tokend (process $pid)."
		fi
	elif [ ! -d "$record" ]; then
		echo "No tokend of \"make run\" is running."
	fi
	[ ! -d "$record" ] || remove
	if [ -n "$left" ]; then
		echo "Backups of it were left where you had them written. Remove them, or they are found later beside"
		echo "those of your own vault:"
		echo "$left"
	fi
	if [ -n "${card:-}" ]; then
		echo "The keys that were made on your PIV card for it are still there, in slots 82 and 83 unless others"
		echo "were named. They open nothing any more. The next quickstart asks whether to put new ones in their"
		echo "place; or remove them, with any tokend running: tokenctl token info shows the card and its keys,"
		echo "tokenctl token wipe CARD --slot 82 --slot 83 removes them."
	fi
}

# clean removes what was built, and says so.
clean() {
	gone=
	for dir in bin build; do
		[ -e "$dir" ] || continue
		rm -rf "$dir"
		gone="$gone $dir/"
	done
	echo "Removed${gone:- nothing: nothing was built}."
	echo "Your own vaults, configuration and backups are not among that: \"tokenctl purge\" is for those."
}

start() {
	parent=/tmp
	# After su or sudo the variable can name another user's folder.
	if [ -n "${XDG_RUNTIME_DIR:-}" ] && [ -d "$XDG_RUNTIME_DIR" ] && [ -O "$XDG_RUNTIME_DIR" ]; then
		parent=$XDG_RUNTIME_DIR
	fi
	mkdir -p "$record"
	folder=$(mktemp -d "$parent/tokend-run.XXXXXX")
	echo "$folder" >"$record/folder"
	socket=$folder/tokend.sock
	log=$folder/tokend.log
	# A session of its own: Ctrl-C at the quickstart does not end it.
	setsid=$(command -v setsid || true)
	# shellcheck disable=SC2086 # empty where there is no setsid
	nohup $setsid "$bin/tokend" serve --user --bus none --state-dir "$folder/state" --socket "$socket" >"$log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$record/pid"
	i=0
	until answers; do
		i=$((i + 1))
		if ! kill -0 "$pid" 2>/dev/null || [ $i -gt 100 ]; then
			echo "tokend did not start; its log, $log:" >&2
			tail -n 20 "$log" >&2
			! kill "$pid" 2>/dev/null || true
			exit 1
		fi
		sleep 0.05
	done
}

# hasvault: 11 is tokenctl's "no vault" (and "not found").
hasvault() {
	code=0
	"$bin/tokenctl" --socket "$socket" --no-input account list >/dev/null 2>&1 || code=$?
	[ "$code" -ne 11 ]
}

case ${1:-start} in
stop)
	stop
	exit 0
	;;
clean)
	clean
	exit 0
	;;
start) ;;
*)
	echo "usage: $0 [stop|clean]" >&2
	exit 2
	;;
esac

if running && answers; then
	echo "tokend runs already (process $pid). \"make stop\" ends it and removes its throwaway vault;"
	echo "after a new build that is the way to start afresh."
else
	[ ! -d "$record" ] || remove
	start
	echo "tokend runs (process $pid, log $log)."
fi

if hasvault && { [ -e "$record/shown" ] || [ ! -t 0 ] || [ ! -t 1 ]; }; then
	"$bin/tokenctl" --socket "$socket" --no-input status || true
else
	code=0
	if [ -t 0 ] && [ -t 1 ]; then
		"$bin/tokenctl" --socket "$socket" quickstart || code=$?
	else
		# The sample's backup goes with the rest of it.
		backup=$folder/sample.tokend
		rm -f "$backup"
		"$bin/tokenctl" --socket "$socket" quickstart --sample --backup "$backup" || code=$?
	fi
	if [ "$code" -ne 0 ]; then
		echo "The quickstart ended with exit code $code. tokend is still there: \"make run\" goes on where it ended." >&2
		echo "Its log: $folder/tokend.log" >&2
		exit "$code"
	fi
	: >"$record/shown"
fi

cat <<EOT

tokend goes on running, on a throwaway vault. Its socket: $socket
To use it from here:

  export TOKEND_SOCKET=$socket PATH=$PWD/bin:\$PATH
  tokenctl status

"make stop" ends it and removes the vault.
EOT
