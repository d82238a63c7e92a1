#!/bin/sh
# Runs the tests that need the native implementation of Zenoh, and functions in Python: eclipse-zenoh and the SDK of OaaS-RS from PyPI, in an
# environment of their own below .cache, which is made once. Needs the network only for that.
set -eu
cd "$(dirname "$0")/.."
packages='eclipse-zenoh==1.10.* oaas-sdk2-py==0.3.6 grpcio>=1.60'
env=$PWD/.cache/interop
python=$env/bin/python

if [ "$(cat "$env/packages" 2>/dev/null)" != "$packages" ]; then
	echo "interop: installing $packages into $env"
	rm -rf "$env"
	python3 -m venv "$env" || {
		echo "interop: cannot make a virtual environment; Python 3 with its module venv is needed (Debian: python3-venv)" >&2
		exit 1
	}
	# shellcheck disable=SC2086 # one word a package
	"$env/bin/pip" install --quiet --disable-pip-version-check $packages || {
		rm -rf "$env"
		echo "interop: cannot install $packages: is the package index reachable (pip config list)? Without them there is nothing to test with" >&2
		exit 1
	}
	"$python" -c 'import grpc, oaas_sdk2_py, zenoh' || {
		rm -rf "$env"
		echo "interop: what was installed does not work with this Python, see above" >&2
		exit 1
	}
	echo "$packages" >"$env/packages"
fi

export OAAS_INTEROP=1 OAAS_INTEROP_PYTHON="$python" OAAS_TEST_PYTHON="$python"
exec "${GO:-go}" test -count=1 -timeout 4m -run 'Interop|Container' "$@" \
	./broker/... ./cmd/oaas-router/... ./dev/... ./odgm/...
