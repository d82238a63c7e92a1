package wasm

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
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
	file    *os.File
	size    uint64
	content []byte // the file, to read from
}

func newSnapshot(content []byte) (*snapshot, error) {
	fd, err := unix.MemfdCreate("oaas-wasm", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the image of a module: %w", err)
	}
	s := &snapshot{file: os.NewFile(uintptr(fd), "oaas-wasm"), size: uint64(len(content))}
	if _, err = s.file.Write(content); err == nil && s.size > 0 {
		s.content, err = unix.Mmap(fd, 0, int(s.size), unix.PROT_READ, unix.MAP_SHARED)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("make the image of a module: %w", err)
	}
	return s, nil
}

func (s *snapshot) close() {
	if s.content != nil {
		_ = unix.Munmap(s.content)
	}
	_ = s.file.Close()
}

// mostCopied is how many pages are put back one by one. Calls of a method change about the same pages each time: copying keeps them there, where dropping
// them costs the next call a fault for each. Beyond that many the memory is worth more than the time.
const mostCopied = 1024

// restore makes the memory what it was in the image, by mapping it the first time and by putting back the pages that were written from then on. What
// it has grown by is zero.
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
	written, err := l.written()
	if err != nil || len(written) > mostCopied {
		return unix.Madvise(view, unix.MADV_DONTNEED)
	}
	page := os.Getpagesize()
	for _, n := range written {
		copy(view[n*page:(n+1)*page], s.content[n*page:])
	}
	if grown := view[s.size:]; len(grown) > 0 {
		return unix.Madvise(grown, unix.MADV_DONTNEED)
	}
	return nil
}

// pagemap tells of each page of this process where it is. It is opened once; without it, memory is put back by dropping pages.
var pagemap = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/pagemap") })

// Bits of an entry of the page map (Documentation/admin-guide/mm/pagemap.rst): a page of a private mapping that is there, and does not belong to the file
// any more, was written.
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// written gives the pages of the image that the instance has written since it was mapped, by their numbers.
func (l *linear) written() ([]int, error) {
	file, err := pagemap()
	if err != nil {
		return nil, err
	}
	page := uint64(os.Getpagesize())
	entries := make([]uint64, l.mapped/page)
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(entries))), len(entries)*8)
	if _, err := file.ReadAt(raw, int64(uint64(uintptr(l.base))/page*8)); err != nil {
		return nil, err
	}
	var written []int
	for n, entry := range entries {
		if entry&pageSwapped != 0 || entry&pagePresent != 0 && entry&pageOfFile == 0 {
			written = append(written, n)
		}
	}
	return written, nil
}
