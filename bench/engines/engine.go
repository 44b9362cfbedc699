package main

import "fmt"

// engine is what the benchmark asks of a storage engine.
type engine interface {
	// get appends the value of the key to buf and returns it; an error if there is none.
	get(buf []byte, key []byte) ([]byte, error)
	// commit applies all changes in one atomic step and returns once they are on disk.
	commit(changes []change) error
	close() error
}

// change sets a key, or deletes it if value is nil.
type change struct {
	key, value []byte
}

// candidate is an engine that can be chosen.
type candidate struct {
	name string
	open func(dir string, cacheBytes int64) (engine, error)
}

var candidates = []candidate{
	{"bbolt", openBbolt},
	{"pebble", openPebble},
	{"badger", openBadger},
}

func choose(names []string) ([]candidate, error) {
	var chosen []candidate
	for _, name := range names {
		found := false
		for _, c := range candidates {
			if c.name == name {
				chosen = append(chosen, c)
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("no engine is called %q", name)
		}
	}
	return chosen, nil
}
