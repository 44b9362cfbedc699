package embedded

// SetSegmentSize sets the size of the journal's files for stores that are opened later.
func SetSegmentSize(bytes int64) { segmentSize = bytes }
