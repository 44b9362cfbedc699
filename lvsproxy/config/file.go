package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Limits on a file, far above what a director holds, so that no file can exhaust the memory.
const (
	MaxFileSize = 16 << 20 // bytes
	MaxReals    = 1 << 18  // real servers in all virtual services together
	MaxRange    = 1 << 12  // addresses in one range of real servers
)

// File is an ldirectord.cf that was read.
type File struct {
	// Name is the file's name as given to [Parse].
	Name string
	// Spec is what the file says.
	Spec Spec
	// Warnings are what was recognised but is not acted on, and what is unlikely to be meant.
	Warnings []Problem

	places map[place]int // line of each directive that Unsupported may complain about
}

// place is a directive of a virtual service, by the service's index. Real servers are numbered from 0; real is -1 for
// any other directive.
type place struct {
	virtual, real int
	directive     string
}

// Load reads and parses the file at path.
func Load(path string, r Resolver) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, MaxFileSize)
	}
	return Parse(path, data, r)
}

// Parse parses the content of an ldirectord.cf. The name stands in messages. The error is a [Problems] that holds every
// error in the file; the File is nil then.
func Parse(name string, data []byte, r Resolver) (*File, error) {
	p := newParser(name, r)
	for line := range bytes.Lines(data) {
		p.line++
		p.parseLine(string(bytes.TrimRight(line, "\r\n")))
	}
	p.finish()
	if err := p.errors.err(); err != nil {
		return nil, err
	}
	return &File{Name: name, Spec: p.spec, Warnings: p.warnings, places: p.places}, nil
}

// line returns where a directive stands, or where its virtual service begins.
func (f *File) line(virtual, real int, directive string) int {
	if n, ok := f.places[place{virtual, real, directive}]; ok {
		return n
	}
	return f.places[place{virtual, -1, "virtual"}]
}

// Source returns the line that gave a virtual service of the Spec, by its index, the value of a directive: a line of its
// section or one outside. It returns 0 for a default. The directive "virtual" is the line where the section begins.
func (f *File) Source(virtual int, directive string) int {
	return f.places[place{virtual, -1, directive}]
}

// RealSource returns the line of a real server, by the indexes of its virtual service and its own.
func (f *File) RealSource(virtual, real int) int { return f.places[place{virtual, real, "real"}] }
