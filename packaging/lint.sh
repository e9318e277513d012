#!/bin/sh
# gofmt, go vet, golangci-lint and govulncheck. The linters' versions are pinned
# in .ci/tools, a module of its own, so that the product depends on none of them.
set -eu
cd "$(dirname "$0")/.."
go=$(packaging/go.sh)
PATH=$(dirname "$go"):$PATH
export PATH

unformatted=$(find . -name '*.go' -not -path './build/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
	echo "not formatted: $unformatted"
	exit 1
fi
go vet ./...

echo "building the linters (quick but for the first time)"
for tool in github.com/golangci/golangci-lint/v2/cmd/golangci-lint golang.org/x/vuln/cmd/govulncheck; do
	go build -C .ci/tools -trimpath -buildvcs=false -o "$PWD/build/tools/" "$tool"
done
build/tools/golangci-lint run ./...

code=0
found=$(timeout 300 build/tools/govulncheck ./... 2>&1) || code=$?
case $code in
0) echo "govulncheck: nothing known" ;;
3)
	echo "$found"
	exit 1
	;;
*)
	# Not being able to ask is no fault of the code.
	echo "govulncheck: NOT CHECKED, the vulnerability database cannot be read: $(echo "$found" | tail -n 1)"
	;;
esac
