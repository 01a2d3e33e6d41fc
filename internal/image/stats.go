package image

import "github.com/maypok86/otter/v2/stats"

// Stats are what a service does at this moment, and what it has done since the start.
type Stats struct {
	Stored, StoredBytes int64 // pictures that were uploaded
	ChecksWaiting       int   // pictures that were stored and are not decoded yet, of those in memory
	Decodes             DecodeStats
	Rows, Files         CacheStats // what is remembered of pictures, and of small files
	FileBytes           uint64     // of the small files in memory
}

// DecodeStats are about the decoding of pictures, be it to check them or to make variants.
type DecodeStats struct {
	Turns            int // pictures that may be decoded at once
	Running, Waiting int64
	Done, Failed     int64
	Refused          int64 // with ServerBusy
}

// CacheStats are what a cache holds, and how often it was of use.
type CacheStats struct {
	Hits, Misses uint64
	Entries      int
}

// Stats returns what the service does.
func (s *Service) Stats() Stats {
	d := s.decodes
	return Stats{
		Stored: s.stored.Load(), StoredBytes: s.storedBytes.Load(), ChecksWaiting: len(s.checks),
		Decodes: DecodeStats{
			Turns: s.Decodes, Running: d.running.Load(), Waiting: d.waiting.Load(),
			Done: d.done.Load(), Failed: d.failed.Load(), Refused: d.refused.Load(),
		},
		Rows:      cacheStats(s.foundLookups, s.found.EstimatedSize()),
		Files:     cacheStats(s.hotLookups, s.hot.EstimatedSize()),
		FileBytes: s.hot.WeightedSize(),
	}
}

func cacheStats(lookups *stats.Counter, entries int) CacheStats {
	counts := lookups.Snapshot()
	return CacheStats{Hits: counts.Hits, Misses: counts.Misses, Entries: entries}
}
