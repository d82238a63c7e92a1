package shard

import (
	"maps"
	"slices"

	"github.com/hpcclab/oaas-go/odgm/object"
)

func sortedEntries(entries map[string]object.Entry) []object.Entry {
	sorted := make([]object.Entry, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		sorted = append(sorted, entries[key])
	}
	return sorted
}

func sortedUnique(keys []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(keys)))
}
