package shard

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// BenchmarkWrite is a synced write of one small entry, by so many clients at once, without and with a change log.
func BenchmarkWrite(b *testing.B) {
	for _, engine := range []string{backend.Memory, backend.Bbolt, backend.Pebble} {
		for _, clients := range []int{1, 64} {
			for name, keep := range map[string]*record.ChangeRetention{
				"none": nil, "changes": {Age: int64(time.Hour), Records: 100_000, Bytes: 32 << 20},
			} {
				b.Run(fmt.Sprintf("%s/clients=%d/%s", engine, clients, name), func(b *testing.B) {
					s := openIn(b, engine, filepath.Join(b.TempDir(), "0"))
					must(b, s, &record.Command{Body: &record.Command_Configure{Configure: &record.ClassConfig{Changes: keep}}})
					var number atomic.Int64
					b.SetParallelism(clients)
					b.ReportAllocs()
					b.ResetTimer()
					if clients == 1 {
						for i := range b.N {
							must(b, s, put(fmt.Sprintf("object-%d", i%1000), "total", "0123456789abcdef"))
						}
						return
					}
					b.SetParallelism(clients / 2)
					b.RunParallel(func(p *testing.PB) {
						for p.Next() {
							must(b, s, put(fmt.Sprintf("object-%d", number.Add(1)%1000), "total", "0123456789abcdef"))
						}
					})
				})
			}
		}
	}
}
