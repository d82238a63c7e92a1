#!/bin/sh
# Makes golden.txt: cases.txt with the bytes that protoc gives for each text. It was run with protoc 3.21.12, and again with 35.1; the
# two .proto files beside it were written from the field tables of the contract, and not from those that our code is generated from.
# usage: ./golden.sh > golden.txt
set -eu
cd "$(dirname "$0")"
echo "# Made by golden.sh from cases.txt: generation, message, text, and its bytes in hexadecimal."
while IFS='|' read -r generation message text; do
  hex=$(printf '%s' "$text" | protoc -I. --deterministic_output --encode="oprc.$message" "$generation.proto" | od -An -v -tx1 | tr -d ' \n')
  printf '%s|%s|%s|%s\n' "$generation" "$message" "$text" "$hex"
done <cases.txt
