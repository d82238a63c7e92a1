//go:build unix && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package bolt

// mapSize is how many bytes of address space each engine takes. Neither memory nor disk is taken for what the file does not have.
const mapSize = 256 << 30
