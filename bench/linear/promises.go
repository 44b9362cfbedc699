package linear

// broken checks, without any search, what users care about most: no destroyed session is seen again, no acknowledged
// write is lost or torn, each version is made by one write, and no two leases share a token. It returns what is broken
// and the operations that show it, or nothing.
func broken(entries []Entry) (reason string, about []Entry) {
	written, granted := map[uint64]Entry{}, map[uint64]Entry{}
	for _, e := range entries {
		switch {
		case e.Class != OK:
		case e.Kind == Write:
			if other, ok := written[e.Version]; ok {
				return "two writes made the same version", []Entry{other, e}
			}
			written[e.Version] = e
		case e.Kind == Lock:
			if other, ok := granted[e.Outcome.Token]; ok {
				return "two leases have the same token", []Entry{other, e}
			}
			granted[e.Outcome.Token] = e
		}
	}
	for _, e := range entries {
		if e.Kind == Read && e.Class == OK {
			if reason, cause := brokenRead(e, entries, written); reason != "" {
				return reason, []Entry{cause, e}
			}
		}
	}
	return "", nil
}

// brokenRead holds one read of a session against all else that happened to it.
func brokenRead(read Entry, entries []Entry, written map[uint64]Entry) (reason string, cause Entry) {
	made, ok := written[read.Version]
	switch {
	case read.Outcome.Payload == torn:
		return "a payload that nobody wrote was read", made
	case ok && made.Operation.Payload != read.Outcome.Payload:
		return "another payload was read than the write of that version left", made
	}
	for _, e := range entries {
		switch {
		case e.Class != OK || e.Return >= read.Call:
		case e.Kind == Destroy:
			return "a destroyed session was seen again", e
		case e.Kind == Write && e.Version > read.Version:
			return "an acknowledged write was lost", e
		}
	}
	return "", Entry{}
}
