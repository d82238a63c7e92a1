package wasm

import (
	"context"
	"fmt"
	"math"
	"os"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// linear is the memory of an instance: addresses for as much as it may grow to, of which the used part can be read and written. Once it is a mapping of
// an image, its pages are those of the image until they are written.
type linear struct {
	base   unsafe.Pointer
	max    uint64
	mapped uint64 // bytes that are mapped from the image
}

// withMemory has the instance that is made with ctx use memory that can be put back.
func withMemory(ctx context.Context) (context.Context, *linear) {
	l := &linear{}
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, limit uint64) experimental.LinearMemory {
		l.max = limit
		return l
	})), l
}

// reserve takes the addresses; memory is taken by the pages that are touched.
func (l *linear) reserve() (err error) {
	if l.base == nil {
		l.base, err = unix.MmapPtr(-1, 0, nil, uintptr(max(l.max, 1)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	}
	return err
}

// Reallocate makes the first size bytes usable; they never move. It gives nil beyond the limit, which makes memory.grow fail.
func (l *linear) Reallocate(size uint64) []byte {
	if size > l.max || size > math.MaxInt || l.reserve() != nil {
		return nil
	}
	if size == 0 {
		return []byte{}
	}
	all := unsafe.Slice((*byte)(l.base), l.max)
	if err := unix.Mprotect(all[:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil
	}
	return all[:size:size]
}

// Free gives the addresses back.
func (l *linear) Free() {
	if l.base != nil {
		_ = unix.MunmapPtr(l.base, uintptr(max(l.max, 1)))
		l.base = nil
	}
}

// snapshot is the memory of an image, in a file of its own that no folder has.
type snapshot struct {
	file *os.File
	size uint64
}

func newSnapshot(content []byte) (*snapshot, error) {
	fd, err := unix.MemfdCreate("oaas-wasm", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the image of a module: %w", err)
	}
	s := &snapshot{file: os.NewFile(uintptr(fd), "oaas-wasm"), size: uint64(len(content))}
	if _, err := s.file.Write(content); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("make the image of a module: %w", err)
	}
	return s, nil
}

func (s *snapshot) close() { _ = s.file.Close() }

// restore makes the memory what it was in the image, by mapping it the first time and by dropping what was written from then on; what it has grown by is zero.
func (s *snapshot) restore(l *linear, view []byte) error {
	if l.mapped != s.size {
		_, err := unix.MmapPtr(int(s.file.Fd()), 0, l.base, uintptr(s.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
		if err != nil {
			return fmt.Errorf("map the image of a module: %w", err)
		}
		l.mapped = s.size
	}
	if len(view) == 0 {
		return nil
	}
	return unix.Madvise(view, unix.MADV_DONTNEED)
}
