// Package wire is what the host and the agent in the guest say to each other: JSON values one after the other, requests
// one way, responses the other way, in any order.
package wire

import "time"

// Port is the name of the virtio port that they talk through.
const Port = "lvsession"

// Inside is set in the environment of what runs in the guest.
const Inside = "LVSESSION_GUEST"

// Hello is the response that the agent sends first, by itself.
const Hello = 0

// Request asks for a file, a command, or both, in this order.
type Request struct {
	ID   uint64 // unlike Hello
	File *File
	Run  *Run
}

// File is a file to write. Missing folders are made.
type File struct {
	Path string
	Mode uint32
	Data []byte
}

// Run is a command to run.
type Run struct {
	Args    []string
	Env     []string // NAME=value, on top of the agent's
	Stdin   []byte
	Dir     string
	Timeout time.Duration // then the command and its process group are killed
	NewNet  bool          // in a network namespace of its own
}

// Response answers the request with the same ID.
type Response struct {
	ID       uint64
	Error    string // the request could not be done; then the rest is empty
	Stdout   []byte
	Stderr   []byte
	Code     int // exit code; 128 + the signal's number where one ended the command
	TimedOut bool
}
