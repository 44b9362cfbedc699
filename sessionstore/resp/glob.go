package resp

// glob tells whether a pattern of Redis matches the whole text: * for any bytes, ? for one, [abc] [a-z] [^a] for one of
// a set, \ before a byte that means itself. It goes back to the last star only, so its time is bounded by the product of
// both lengths.
func glob(pattern, text []byte) bool {
	p, t := 0, 0
	star, from := -1, 0 // the last star, and where what it stands for ends
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, t
			p++
			continue
		}
		if size, ok := globOne(pattern[p:], text[t]); ok {
			p += size
			t++
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, t = star+1, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne matches one byte with the front of a pattern, and tells how much of the pattern that took.
func globOne(pattern []byte, c byte) (size int, ok bool) {
	if len(pattern) == 0 {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return globSet(pattern, c)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	}
	return 1, pattern[0] == c
}

// globSet matches one byte with a set. One without its end ends with the pattern.
func globSet(pattern []byte, c byte) (size int, ok bool) {
	i, not := 1, false
	if i < len(pattern) && pattern[i] == '^' {
		i, not = i+1, true
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		low := pattern[i]
		if low == '\\' && i+1 < len(pattern) {
			i++
			low = pattern[i]
		}
		high := low
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			high = pattern[i+2]
			i += 2
		}
		if low > high {
			low, high = high, low
		}
		ok = ok || low <= c && c <= high
	}
	return min(i+1, len(pattern)), ok != not
}
