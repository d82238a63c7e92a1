package stream

import (
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Position is a place between two changes of a class, from which a stream goes on. It is Now, Earliest, or what a stream gave: for each partition
// its number, the epoch of its log in base 36 (empty if not known) and the number of the last change before the place, as in "0:mifp0k3z.17,2:mifp0kc1.9".
// A partition that is not named is at its beginning.
type Position string

// Positions that need no stream before.
const (
	Now      Position = ""  // after everything that there is
	Earliest Position = "0" // before everything that is kept
)

// After gives the position after a change, for who knows nothing but its number.
func After(partition uint32, seq uint64) Position {
	return Position(appendPoint(nil, false, partition, point{seq: seq}))
}

// point is a place in the log of one partition.
type point struct {
	epoch int64 // 0 if not known
	seq   uint64
}

func appendPoint(dst []byte, further bool, partition uint32, p point) []byte {
	if further {
		dst = append(dst, ',')
	}
	dst = strconv.AppendUint(dst, uint64(partition), 10)
	dst = append(dst, ':')
	if p.epoch != 0 {
		dst = strconv.AppendInt(dst, p.epoch, 36)
	}
	dst = append(dst, '.')
	return strconv.AppendUint(dst, p.seq, 10)
}

// parse gives the points of a position by partition; none for Now and Earliest.
func (p Position) parse() (map[uint32]point, error) {
	if p == Now || p == Earliest {
		return nil, nil
	}
	points := map[uint32]point{}
	for item := range strings.SplitSeq(string(p), ",") {
		partition, at, ok := parsePoint(item)
		if _, twice := points[partition]; !ok || twice {
			return nil, fault.New(fault.InvalidArgument, "%q is not a position: take one that a stream gave, such as 0:mifp0k3z.17, or 0 for the earliest", p)
		}
		points[partition] = at
	}
	return points, nil
}

func parsePoint(item string) (partition uint32, p point, ok bool) {
	number, rest, hasColon := strings.Cut(item, ":")
	epoch, seq, hasDot := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || !hasColon || !hasDot {
		return 0, p, false
	}
	if epoch != "" {
		if p.epoch, err = strconv.ParseInt(epoch, 36, 64); err != nil || p.epoch <= 0 {
			return 0, p, false
		}
	}
	p.seq, err = strconv.ParseUint(seq, 10, 63)
	return uint32(n), p, err == nil
}
