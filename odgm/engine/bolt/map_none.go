//go:build !(unix && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x))

package bolt

// mapSize is 0, for no map beyond the file: address space is scarce on 32 bits, and Windows would make the file as long as its map.
const mapSize = 0
