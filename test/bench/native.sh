#!/bin/sh
# Builds what the Zenoh figures are compared with into .cache/native: zenohd, and the roles in test/bench/native on the same library. Needs Cargo
# and its registry, and 10 minutes or more the first time.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD/.cache/native
command -v cargo >/dev/null || {
	echo "bench-native: cargo is not there; without it the figures stand alone" >&2
	exit 1
}
export CARGO_TARGET_DIR="$root/target" CARGO_PROFILE_RELEASE_LTO=thin
cargo install zenohd --version 1.10.2 --locked --no-default-features --features zenoh/transport_tcp --root "$root"
cargo install --path test/bench/native --locked --root "$root"
